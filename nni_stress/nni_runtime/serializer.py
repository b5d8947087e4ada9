"""Makes NNI read messages as plain data."""

from __future__ import annotations

import json
import types
from typing import Any


def plain_messages(module: Any = None) -> None:
    """Make this process read NNI's messages as plain JSON from now on.

    NNI's own reader runs code that keys like ``__symbol__`` and ``__nni_obj__`` name.

    Parameters
    ----------
    module
        The module ``nni.common.serializer``; by default, it is imported.

    Examples
    --------
    >>> serializer = types.SimpleNamespace(json_tricks=types.SimpleNamespace(dumps=json.dumps))
    >>> plain_messages(serializer)
    >>> serializer.json_tricks.loads('{"__symbol__": "path:os.system"}', ordered=False)
    {'__symbol__': 'path:os.system'}
    """
    if module is None:
        import nni.common.serializer

        module = nni.common.serializer
    plain = {
        "loads": lambda text, **ignored: json.loads(text),
        "load": lambda file, **ignored: json.load(file),
    }
    module.json_tricks = types.SimpleNamespace(**{**vars(module.json_tricks), **plain})
