from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ONNX = ["onnx>=1.15", "onnxscript>=0.1", "onnxruntime>=1.16"]


class BuildWithHook(build_py):
    """Puts the line by which nnictl finds us where Python reads it at its start: beside the package, not in it."""

    def run(self):
        super().run()
        site = (
            self.distribution.get_command_obj("install").install_lib
            if self.editable_mode
            else self.build_lib
        )
        self.copy_file("nni_stress/nnictl.pth", str(Path(site, "nni_stress_nnictl.pth")))


setup(
    name="nni-stress",
    version="0.1.0",
    description="Stress-induced evolutionary synthesis of deep networks, as a plugin for Microsoft NNI",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["nni_stress*", "trials*", "reports*"]),
    package_data={
        "nni_stress": ["loopback.js", "nnictl.pth", "visualization/page.css", "cli/templates/*"]
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
        "setuptools<80.9",  # nnictl imports pkg_resources: gone in 81, and warns at every start from 80.9 on
        "wrapt>=1.15",
    ],
    extras_require={
        "onnx": ONNX,
        "test": [
            "pytest>=7",
            "pytorch-lightning>=2",
            "tensorboard",
            "transformers>=4.30",
            "accelerate",
            "torchmetrics>=1",
            "pycocotools>=2.0.8",
            *ONNX,
        ],  # these two: the reference of average precision
    },
)
