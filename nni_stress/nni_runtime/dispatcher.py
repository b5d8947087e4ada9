"""Makes the process of a tuner outlive messages that are malformed.

An exception in NNI's code for a message ends the thread that handles messages. NNI then ends the
tuner without an error, and the experiment stays RUNNING for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import wrapt

from ..utils.messages import one_line
from .manager import say

_PACKAGE = __name__.split(".")[0]


def ignore_malformed_messages(module: ModuleType) -> None:
    """Make dispatchers of this package's tuners ignore messages that NNI cannot handle.

    What a tuner of this package raises itself is reported by its barrier, and does not come here.

    Parameters
    ----------
    module
        The module ``nni.runtime.msg_dispatcher_base``.
    """
    wrapt.wrap_function_wrapper(module, "MsgDispatcherBase.process_command", _process)


def _process(
    process: Callable[..., Any], dispatcher: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    try:
        process(*args, **kwargs)
    except Exception as error:
        tuner = getattr(dispatcher, "tuner", None)
        if type(tuner).__module__.split(".")[0] != _PACKAGE:
            raise
        command = getattr(args[0], "name", args[0]) if args else "a message"
        say(f"ignored {command}, which is malformed: {one_line(error)}")
