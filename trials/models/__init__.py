"""Networks of the tasks."""

from .alexnet import alexnet
from .lenet5 import lenet5
from .yolov2 import yolov2

__all__ = ["alexnet", "lenet5", "yolov2"]
