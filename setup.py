from pathlib import Path

from setuptools import find_packages, setup

ONNX = ["onnx>=1.15", "onnxscript>=0.1", "onnxruntime>=1.16"]

setup(
    name="nni-stress",
    version="0.1.0",
    description="Stress-induced evolutionary synthesis of deep networks, as a plugin for Microsoft NNI",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["nni_stress*", "trials*", "reports*"]),
    package_data={"nni_stress": ["loopback.js"]},
    install_requires=[
        "nni>=3.0,<4",
        "torch>=2.0",
        "torchvision>=0.16",
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
        "test": ["pytest>=7", "pytorch-lightning>=2", "tensorboard", "transformers>=4.30", "accelerate", *ONNX],
    },
)
