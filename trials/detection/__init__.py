"""Object detection with YOLOv2: anchors, loss, detections, and how good they are.

Boxes are in shares of the image; anchors in cells of the network's output, of 32 pixels. Targets of a batch are a tensor,
B x N x 5, of class, centre x, centre y, width and height, padded with rows of class -1.
"""

from .anchors import COCO_ANCHORS, VOC_ANCHORS, average_overlap, find_anchors
from .average_precision import average_precisions, match, mean_average_precision
from .comparison import compare, find_all, precision
from .decoding import Detections, decode, detect, detect_all
from .drawing import draw_side_by_side, precision_table
from .loss import YOLOv2Loss
from .optimizer import ClippedAdam
from .targets import pad_targets

__all__ = [
    "COCO_ANCHORS",
    "VOC_ANCHORS",
    "ClippedAdam",
    "Detections",
    "YOLOv2Loss",
    "average_overlap",
    "average_precisions",
    "compare",
    "decode",
    "detect",
    "detect_all",
    "draw_side_by_side",
    "find_all",
    "find_anchors",
    "match",
    "mean_average_precision",
    "pad_targets",
    "precision",
    "precision_table",
]
