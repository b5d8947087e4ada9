"""Networks of the tasks: LeNet-5, AlexNet, ResNet-20 and YOLOv2."""

from .alexnet import alexnet
from .lenet5 import lenet5
from .resnet import resnet20
from .yolov2 import yolov2

__all__ = ["alexnet", "lenet5", "resnet20", "yolov2"]
