"""A limit of time, so that a reader that would wait for ever fails its test."""

import contextlib
import signal


@contextlib.contextmanager
def within(seconds=20):
    """Raise an AssertionError in the block if it takes longer."""

    def end(number, frame):
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
