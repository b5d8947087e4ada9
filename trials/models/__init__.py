"""Networks of the tasks."""
from .lenet5 import lenet5
from .yolov2 import yolov2

__all__ = ["lenet5", "yolov2"]
