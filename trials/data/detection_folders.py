"""Pascal VOC and KITTI for detection, from folders as torchvision keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Dataset
from torchvision.datasets import Kitti, VOCDetection
from torchvision.transforms.v2 import functional

from .examples import Example, inside

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
KITTI_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
# Beyond these, an object does not belong to KITTI's hardest level: share outside of the image, occlusion, height in pixels.
_TRUNCATED, _OCCLUDED, _HEIGHT = 0.5, 2, 25


class FolderExamples(Dataset):
    """Examples of a torchvision data set.

    Parameters
    ----------
    dataset
        Of (image, annotation).
    parse
        Makes of an annotation a list of objects (class, left, top, right, bottom, difficult).
    classes
        Names of the classes, in the order of their numbers.
    """

    def __init__(
        self, dataset: Dataset, parse: Callable[[Any], list[tuple]], classes: tuple[str, ...]
    ):
        self._dataset, self._parse, self._numbers = (
            dataset,
            parse,
            {name: number for number, name in enumerate(classes)},
        )

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        """The example. A ValueError that names its number where its annotation is damaged or of an unknown class."""
        if not 0 <= index < len(self):
            raise IndexError(
                f"example {index} of {len(self)}"
            )  # by this a loop over all knows its end
        try:
            image, annotation = self._dataset[index]
            objects = self._parse(annotation)
            labels = [self._numbers[name] for name, *_ in objects]
            boxes = torch.tensor([box for _, *box, _ in objects], dtype=torch.float32).reshape(
                -1, 4
            )
        except KeyError as error:
            raise ValueError(
                f"example {index}: {error} is no class or entry that is known; classes are "
                f"{', '.join(self._numbers)}"
            ) from None
        except (ValueError, TypeError, IndexError, SyntaxError, OSError) as error:
            raise ValueError(
                f"example {index} is damaged: {' '.join(str(error).split())}"
            ) from None
        example = Example(
            functional.pil_to_tensor(image.convert("RGB")),
            boxes,
            torch.tensor(labels, dtype=torch.int64),
            torch.tensor([difficult for *_, difficult in objects], dtype=torch.bool),
        )
        return inside(example)


def voc(folder: str) -> tuple[Dataset, Dataset]:
    """Training and test examples of Pascal VOC: trained on trainval of 2007 and 2012, whichever is there, tested on 2007's
    test; where only 2012 is there, trained on its train and tested on its val.

    Parameters
    ----------
    folder
        Holds VOCdevkit.

    Raises
    ------
    FileNotFoundError
        If it holds neither year, or a list of images is missing.
    """
    years = [
        year for year in ("2007", "2012") if (Path(folder) / "VOCdevkit" / f"VOC{year}").is_dir()
    ]
    if not years:
        raise FileNotFoundError(f"no VOCdevkit/VOC2007 or VOCdevkit/VOC2012 in {folder}")
    train, test = (
        ([("2012", "train")], ("2012", "val"))
        if years == ["2012"]
        else ([(year, "trainval") for year in years], ("2007", "test"))
    )
    return ConcatDataset([_voc_part(folder, *part) for part in train]), _voc_part(folder, *test)


def _voc_part(folder: str, year: str, part: str) -> FolderExamples:
    try:
        dataset = VOCDetection(folder, year=year, image_set=part)
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(f"no {part} images of VOC{year} in {folder}: {error}") from None
    return FolderExamples(dataset, _voc_objects, VOC_CLASSES)


def _voc_objects(annotation: dict) -> list[tuple]:
    """VOC counts pixels from 1, and its right and bottom pixels belong to the box."""
    objects = []
    for entry in annotation["annotation"]["object"]:
        left, top, right, bottom = (
            float(entry["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        objects.append(
            (entry["name"], left - 1, top - 1, right, bottom, entry.get("difficult") == "1")
        )
    return objects


def kitti(folder: str) -> FolderExamples:
    """The labelled examples of KITTI, in the order of their names.

    What KITTI marks as DontCare is left out. What is beyond its hardest level is difficult.

    Parameters
    ----------
    folder
        Holds Kitti/raw/training with folders image_2 and label_2.

    Raises
    ------
    FileNotFoundError
        If it does not.
    """
    try:
        dataset = Kitti(folder)
    except (RuntimeError, OSError):
        raise FileNotFoundError(
            f"no Kitti/raw/training with folders image_2 and label_2 in {folder}"
        ) from None
    (
        dataset.images.sort(),
        dataset.targets.sort(),
    )  # torchvision has them in the order of the file system
    missing = [path for path in dataset.targets if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} images of KITTI have no labels, the first of them {missing[0]}"
        )
    return FolderExamples(dataset, _kitti_objects, KITTI_CLASSES)


def _kitti_objects(annotation: list[dict]) -> list[tuple]:
    return [
        (
            entry["type"],
            *entry["bbox"],
            entry["truncated"] > _TRUNCATED
            or entry["occluded"] > _OCCLUDED
            or entry["bbox"][3] - entry["bbox"][1] < _HEIGHT,
        )
        for entry in annotation
        if entry["type"] != "DontCare"
    ]
