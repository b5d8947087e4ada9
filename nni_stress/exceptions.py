"""Errors of the package, in a module that costs nothing to import."""

from __future__ import annotations

from typing import Any


class LaunchError(ValueError):
    """An experiment could not start, or ended in ERROR; the message is one line that says why.

    Examples
    --------
    >>> raise LaunchError("port 8080 is in use; name another")
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: port 8080 is in use; name another
    """


class DamagedFileError(ValueError):
    """A file is not what it should be; the message is one line that names the file.

    Examples
    --------
    >>> raise DamagedFileError("record.json must be a regular file, but is a FIFO")
    Traceback (most recent call last):
    nni_stress.exceptions.DamagedFileError: record.json must be a regular file, but is a FIFO
    """


class StartError(LaunchError):
    """The tuner of an experiment did not start; the message is one line that says why."""


class SynthesisError(RuntimeError):
    """A small network does not compute what the masked one does; the message names layers.

    Examples
    --------
    >>> raise SynthesisError("the network without clusters of conv1 is wrong: it fails")
    Traceback (most recent call last):
    nni_stress.exceptions.SynthesisError: the network without clusters of conv1 is wrong: it fails
    """


class ExportError(ValueError):
    """Some files of a network were not written; the message is one line that says why.

    Parameters
    ----------
    failures
        {name of the file: why it was not written}.
    exported
        What was written: an `nni_stress.deployment.export.Exported`.

    Examples
    --------
    >>> raise ExportError({"a.onnx": "no space", "a.pt2": "no space"}, exported=None)
    Traceback (most recent call last):
    nni_stress.exceptions.ExportError: not written: a.onnx, a.pt2 (no space)
    """

    def __init__(self, failures: dict[str, str], exported: Any):
        by_reason: dict[str, list[str]] = {}
        for file, why in failures.items():
            by_reason.setdefault(why, []).append(file)
        reasons = [f"{', '.join(files)} ({why})" for why, files in by_reason.items()]
        super().__init__(f"not written: {'; '.join(reasons)}")
        self.failures = failures
        self.exported = exported
