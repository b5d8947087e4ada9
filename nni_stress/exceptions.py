"""Errors of the package, in a module that costs nothing to import."""


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
