"""Networks of the tasks."""
from .lenet5 import lenet5

__all__ = ["lenet5"]
