"""Pascal VOC and KITTI for detection, from folders as torchvision stores them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Dataset
from torchvision.datasets import Kitti, VOCDetection
from torchvision.transforms.v2 import functional

from nni_stress.utils.messages import one_line
from nni_stress.utils.regular_files import check_regular

from .examples import Example, clip_boxes
from .image_files import MOST_BYTES, load_image

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

# Limits of KITTI's level "hard"; objects beyond them are difficult.
_MAX_TRUNCATION = 0.5  # fraction of the object outside the image
_MAX_OCCLUSION = 2
_MIN_HEIGHT = 25  # pixels

_ANNOTATION_BYTES = 2**22

# An object of an annotation: class name, left, top, right, bottom, difficult.
_Object = tuple[str, float, float, float, float, bool]


class FolderExamples(Dataset):
    """Examples of a torchvision data set.

    Parameters
    ----------
    dataset
        Data set of pairs (PIL image, annotation).
    parse
        Function that lists the objects of an annotation as tuples (class name, left, top, right,
        bottom, difficult), with edges in pixels.
    classes
        Names of the classes, in the order of their numbers.
    """

    def __init__(
        self,
        dataset: VOCDetection | Kitti,
        parse: Callable[[Any], list[_Object]],
        classes: tuple[str, ...],
    ) -> None:
        self._dataset = dataset
        self._parse = parse
        self._class_numbers = {name: number for number, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        """Read an example.

        Raises
        ------
        IndexError
            If there is no such example.
        ValueError
            If the image or its annotation is damaged, or an object is of an unknown class.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")  # ends a loop over all examples
        try:
            check_regular(self._dataset.images[index], MOST_BYTES)
            check_regular(self._dataset.targets[index], _ANNOTATION_BYTES)
            image, annotation = self._dataset[index]
            pixels = functional.pil_to_tensor(image.convert("RGB"))
            objects = self._parse(annotation)
            labels = [self._class_numbers[name] for name, *_ in objects]
            edges = [box for _, *box, _ in objects]
            boxes = torch.tensor(edges, dtype=torch.float32).reshape(-1, 4)
        except KeyError as error:
            raise ValueError(
                f"example {index}: {error} is no known class or entry; classes are "
                f"{', '.join(self._class_numbers)} ({self._dataset.targets[index]})"
            ) from None
        except Exception as error:  # Pillow and parsers raise errors of many types
            load_image(self._dataset.images[index])  # if it is the image, it is named
            raise ValueError(
                f"example {index} is damaged: {one_line(error)} ({self._dataset.targets[index]})"
            ) from None
        return clip_boxes(
            Example(
                pixels,
                boxes,
                torch.tensor(labels, dtype=torch.int64),
                torch.tensor([difficult for *_, difficult in objects], dtype=torch.bool),
            )
        )


def load_voc(folder: str) -> tuple[ConcatDataset, FolderExamples]:
    """Read Pascal VOC.

    Training examples are trainval of 2007 and 2012, of which one may be missing, and test examples
    are test of 2007. If only 2012 is there, they are its train and its val.

    Parameters
    ----------
    folder
        Folder that holds VOCdevkit.

    Returns
    -------
    (torch.utils.data.ConcatDataset, FolderExamples)
        Training and test examples.

    Raises
    ------
    FileNotFoundError
        If the folder holds neither year, or a list of images is missing.
    """
    devkit = Path(folder) / "VOCdevkit"
    years = [year for year in ("2007", "2012") if (devkit / f"VOC{year}").is_dir()]
    if not years:
        raise FileNotFoundError(f"no VOCdevkit/VOC2007 or VOCdevkit/VOC2012 in {folder}")
    if years == ["2012"]:
        train, test = [("2012", "train")], ("2012", "val")
    else:
        train, test = [(year, "trainval") for year in years], ("2007", "test")
    return ConcatDataset([_read_voc(folder, *part) for part in train]), _read_voc(folder, *test)


def _read_voc(folder: str, year: str, image_set: str) -> FolderExamples:
    try:
        dataset = VOCDetection(folder, year=year, image_set=image_set)
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(
            f"no {image_set} images of VOC{year} in {folder}: {one_line(error)}"
        ) from None
    return FolderExamples(dataset, _voc_objects, VOC_CLASSES)


def _voc_objects(annotation: dict[str, Any]) -> list[_Object]:
    objects = []
    for entry in annotation["annotation"]["object"]:
        left, top, right, bottom = (
            float(entry["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        # VOC counts pixels from 1, and its boxes include their right and bottom pixels.
        difficult = entry.get("difficult") == "1"
        objects.append((entry["name"], left - 1, top - 1, right, bottom, difficult))
    return objects


def load_kitti(folder: str) -> FolderExamples:
    """Read the labelled examples of KITTI, in the order of their names.

    Regions marked DontCare are left out. Objects beyond the level "hard" are difficult.

    Parameters
    ----------
    folder
        Folder that holds Kitti/raw/training with folders image_2 and label_2.

    Returns
    -------
    FolderExamples
        The examples.

    Raises
    ------
    FileNotFoundError
        If a folder, or the labels of an image, are missing.
    """
    try:
        dataset = Kitti(folder)
    except (RuntimeError, OSError):
        raise FileNotFoundError(
            f"no Kitti/raw/training with folders image_2 and label_2 in {folder}"
        ) from None
    # torchvision lists files in the order of the file system.
    dataset.images.sort()
    dataset.targets.sort()
    missing = [path for path in dataset.targets if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} images of KITTI have no labels, the first of them {missing[0]}"
        )
    return FolderExamples(dataset, _kitti_objects, KITTI_CLASSES)


def _kitti_objects(annotation: list[dict[str, Any]]) -> list[_Object]:
    objects = []
    for entry in annotation:
        if entry["type"] == "DontCare":
            continue
        left, top, right, bottom = entry["bbox"]
        difficult = (
            entry["truncated"] > _MAX_TRUNCATION
            or entry["occluded"] > _MAX_OCCLUSION
            or bottom - top < _MIN_HEIGHT
        )
        objects.append((entry["type"], left, top, right, bottom, difficult))
    return objects
