"""Networks of the tasks: LeNet-5, AlexNet and YOLOv2.

ResNet-20 is imported from its own file, as it takes seconds to import torchvision's blocks.
"""

from .alexnet import alexnet
from .lenet5 import lenet5
from .yolov2 import yolov2

__all__ = ["alexnet", "lenet5", "yolov2"]
