"""The error of an experiment that cannot go on. A module of its own, so that it costs nothing to import."""


class LaunchError(ValueError):
    """The experiment could not be started, or ended in ERROR; the message says why, in one line."""
