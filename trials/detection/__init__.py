"""Object detection with YOLOv2: anchors, loss, detections and their average precision.

Conventions of this package: boxes are in fractions of the image's width and height; anchors are
(width, height) in cells of the network's output grid, of 32 pixels each; the targets of a batch
are a tensor, B x N x 5, of rows (class, centre x, centre y, width, height) that is padded with rows
of class -1.
"""

from .anchors import COCO_ANCHORS, VOC_ANCHORS, average_iou, find_anchors
from .average_precision import average_precisions, match_detections, mean_average_precision
from .comparison import compare_networks, detect_and_collect, evaluate_map
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
    "average_iou",
    "average_precisions",
    "compare_networks",
    "decode",
    "detect",
    "detect_all",
    "detect_and_collect",
    "draw_side_by_side",
    "evaluate_map",
    "find_anchors",
    "match_detections",
    "mean_average_precision",
    "pad_targets",
    "precision_table",
]
