"""Networks of the tasks: LeNet-5, AlexNet and YOLOv2."""

from .alexnet import alexnet
from .lenet5 import lenet5
from .yolov2 import yolov2

__all__ = ["alexnet", "lenet5", "yolov2"]
