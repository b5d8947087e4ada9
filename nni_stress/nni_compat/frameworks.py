"""Imports NNI's compression without the frameworks it makes evaluators for, which take seconds."""

from __future__ import annotations

import sys

_FRAMEWORKS = ("pytorch_lightning", "transformers", "deepspeed")


def import_compression() -> None:
    """Import NNI's compression; hide the frameworks meanwhile that this process has not imported.

    For processes that hold no code of NNI's evaluators: trials, and commands of our own.
    """
    hidden = [name for name in _FRAMEWORKS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # makes an import of it fail
    try:
        import nni.compression  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
