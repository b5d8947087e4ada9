"""Networks of the tasks."""
from .alexnet import alexnet
from .lenet5 import lenet5

__all__ = ["alexnet", "lenet5"]
