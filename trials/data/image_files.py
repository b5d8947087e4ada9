"""Reading of single image files; what is damaged is named."""

from __future__ import annotations

from PIL import Image

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.messages import one_line
from nni_stress.utils.regular_files import open_regular

MOST_BYTES = 2**28  # of an image's file


def load_image(path: str) -> Image.Image:
    """Read an image with three channels.

    Raises
    ------
    DamagedFileError
        If it is damaged, truncated, no image, or has more pixels than Pillow considers safe.
    OSError
        If it cannot be opened.
    """
    with open_regular(path, MOST_BYTES) as file:
        try:
            return Image.open(file).convert("RGB")
        except Exception as error:  # Pillow raises errors of many types
            raise DamagedFileError(f"{path} is damaged: {one_line(error)}") from None
