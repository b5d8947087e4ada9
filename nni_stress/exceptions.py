"""Errors of experiments and files, in a module that costs nothing to import."""


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
