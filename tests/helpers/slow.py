"""Parameters of tests, of which only some are fast enough for `make test`."""

import pytest


def all_but(slow, names):
    """Parameters of these names, in their order; those in `slow` are for make test-all only."""
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in names]
