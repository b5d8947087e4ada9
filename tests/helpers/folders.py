"""Small data sets of random pixels, in the formats of the real ones."""

import gzip
import hashlib
import pickle

import numpy as np
from PIL import Image


def write_idx(folder, compress, images=24, wrong=0):
    """Write MNIST's four IDX files; sizes in their headers are too large by `wrong`."""
    random = np.random.default_rng(0)
    for part, number in (("train", images), ("t10k", 6)):
        pixels = random.integers(0, 256, (number, 28, 28), np.uint8)
        labels = random.integers(0, 10, number, np.uint8)
        for stem, data in (
            (f"{part}-images-idx3-ubyte", pixels),
            (f"{part}-labels-idx1-ubyte", labels),
        ):
            header = bytes([0, 0, 8, data.ndim]) + b"".join(
                int(n + wrong).to_bytes(4, "big") for n in data.shape
            )
            content = header + data.tobytes()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / (stem + ".gz" * compress)).write_bytes(
                gzip.compress(content) if compress else content
            )


def write_cifar10(folder, images=12):
    """Write CIFAR-10's pickles; return the MD5 sum of each file.

    In each file image n is of brightness n everywhere, and of class n % 10.
    """
    home = folder / "cifar-10-batches-py"
    sums = {}
    home.mkdir(parents=True)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
        pixels = np.repeat(np.arange(images, dtype=np.uint8)[:, None], 3072, 1)
        content = pickle.dumps(
            {"label_names": [f"class{n}" for n in range(10)]}
            if name == "batches.meta"
            else {"data": pixels, "labels": [n % 10 for n in range(images)]}
        )
        (home / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    return sums


def write_stl10(folder, images=24):
    """Write STL-10's binary files but those without labels; return the MD5 sum of each file.

    In each file the red channel of image n is n everywhere.
    """
    home = folder / "stl10_binary"
    sums = {}
    home.mkdir(parents=True)
    for part in ("train", "test"):
        pixels = np.zeros((images, 3, 96, 96), np.uint8)
        pixels[:, 0] = np.arange(images)[:, None, None]
        labels = (np.arange(images) % 10 + 1).astype(np.uint8)  # from 1 on
        for name, data in ((f"{part}_X.bin", pixels), (f"{part}_y.bin", labels)):
            (home / name).write_bytes(data.tobytes())
            sums[name] = hashlib.md5(data.tobytes()).hexdigest()
    (home / "fold_indices.txt").write_text("0 1\n")
    return sums


def write_image_folder(folder, parts=("train", "test"), classes=("cat", "dog"), images=13):
    """Write folders of images in several sizes and formats; each class has a colour of its own."""
    random = np.random.default_rng(0)
    for part in parts:
        for number, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for image in range(images):
                pixels = random.integers(0, 60, (*random.integers(70, 120, 2), 3), np.uint8)
                pixels[..., number % 3] += 150
                Image.fromarray(pixels).save(
                    folder / part / name / f"{image}.{'png' if image % 2 else 'jpg'}"
                )


def write_voc(folder, year="2007", parts=("trainval", "test"), images=13, objects=None):
    """Write VOC's folders. By default images have a dog and a difficult person, each third nothing.

    `objects` are the objects of each image: (class, left, top, right, bottom, difficult).
    """
    home = folder / "VOCdevkit" / f"VOC{year}"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for start, part in enumerate(parts):
        stems = [f"{start}{n:05}" for n in range(images)]
        (home / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(stems) + "\n")
        for number, stem in enumerate(stems):
            Image.new("RGB", (100, 80), (number, 0, 255)).save(home / "JPEGImages" / f"{stem}.jpg")
            entries = [("dog", 11, 21, 60, 70, 0), ("person", 1, 1, 20, 30, 1)]
            if objects is not None:
                entries = objects
            elif number % 3 == 0:
                entries = []
            annotation = "".join(_voc_object(*entry) for entry in entries)
            (home / "Annotations" / f"{stem}.xml").write_text(
                f"<annotation><segmented>0</segmented>{annotation}</annotation>"
            )


def _voc_object(name, left, top, right, bottom, difficult):
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        "</bndbox></object>"
    )


def write_kitti(folder, images=30):
    """Write KITTI's folders: each image has a car, a van too far away, and a DontCare region."""
    home = folder / "Kitti" / "raw" / "training"
    for name in ("image_2", "label_2"):
        (home / name).mkdir(parents=True)
    for number in range(images):
        Image.new("RGB", (200, 60), (number, 0, 0)).save(home / "image_2" / f"{number:06}.png")
        (home / "label_2" / f"{number:06}.txt").write_text(
            "Car 0.00 0 1.5 20.0 10.0 60.0 50.0 1.5 1.6 3.7 1.0 1.6 9.0 1.6\n"
            "Van 0.00 1 1.5 100.0 10.0 120.0 20.0 1.5 1.6 3.7 1.0 1.6 9.0 1.6\n"
            "DontCare -1 -1 -10 150.0 5.0 160.0 15.0 -1 -1 -1 -1000 -1000 -1000 -10\n"
        )
