"""Data sets of the tasks."""

from .images import Batches, Images, Split, accuracy, load_images

__all__ = ["Batches", "Images", "Split", "accuracy", "load_images"]
