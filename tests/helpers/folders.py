"""Small data sets in the formats of the real ones, of random pixels."""

import gzip
import hashlib
import pickle

import numpy as np
from PIL import Image


def write_idx(folder, compress, images=24, wrong=0):
    """Four small files in the format of MNIST."""
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
    """CIFAR-10's pickles; returns {file: MD5 sum}. Image n of a file is of the one brightness n, and of class n % 10."""
    home, sums = folder / "cifar-10-batches-py", {}
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
    """STL-10's binary files, without those that have no labels; returns {file: MD5 sum}. Image n's red is n everywhere."""
    home, sums = folder / "stl10_binary", {}
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
    """Folders of photographs in several sizes and formats; every class has a colour of its own."""
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
    """VOC's folders; by default image n has a dog, a difficult person, and, where n is a multiple of 3, nothing."""
    home = folder / "VOCdevkit" / f"VOC{year}"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for start, part in enumerate(parts):
        stems = [f"{start}{n:05}" for n in range(images)]
        (home / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(stems) + "\n")
        for number, stem in enumerate(stems):
            Image.new("RGB", (100, 80), (number, 0, 255)).save(home / "JPEGImages" / f"{stem}.jpg")
            found = (
                objects
                if objects is not None
                else []
                if number % 3 == 0
                else [("dog", 11, 21, 60, 70, 0), ("person", 1, 1, 20, 30, 1)]
            )
            (home / "Annotations" / f"{stem}.xml").write_text(
                "<annotation><segmented>0</segmented>"
                + "".join(
                    f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
                    f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
                    for name, left, top, right, bottom, hard in found
                )
                + "</annotation>"
            )


def write_kitti(folder, images=30):
    """KITTI's folders: in every image a car, a van too far away, and a region that nobody cares for."""
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
