"""The error of an experiment that cannot go on, in a module that costs nothing to import."""


class LaunchError(ValueError):
    """An experiment could not start, or ended in ERROR; the message is one line that says why.

    Examples
    --------
    >>> raise LaunchError("port 8080 is in use; name another")
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: port 8080 is in use; name another
    """
