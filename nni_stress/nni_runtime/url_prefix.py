"""The secret with which the URLs of a manager begin: NNI's "URL prefix", random for each start.

NNI's manager has no login. It gives its prefix to its tuner, its trials and its web page; nnictl
finds it in NNI's list of experiments, which is for the user alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

from ..lineage.locate import NNI_HOME
from ..utils.atomic_files import read_json

VARIABLE = "NNI_STRESS_PREFIX"  # for the manager's process; other users see command lines
_LIST = ".experiment"  # in NNI_HOME
_TRIES = 20
_PAUSE = 0.05  # seconds


def new_prefix(given: str | None = None) -> str:
    """Make a prefix that nobody can guess.

    Parameters
    ----------
    given
        A prefix that the user asked for, which stands in front of the secret.

    Examples
    --------
    >>> len(new_prefix()), new_prefix("/nni/").partition("/")[0]
    (32, 'nni')
    """
    own = re.sub(r"(^|/)[0-9a-f]{32}$", "", (given or "").strip("/"))  # not the last start's secret
    return "/".join(filter(None, [own, secrets.token_hex(16)]))


def prefix_of(port: int | None, nni_home: Path = NNI_HOME) -> str | None:
    """Return the prefix of the manager that runs on a port of this machine; None without one.

    Parameters
    ----------
    port
        The manager's port.
    nni_home
        Folder in which nnictl keeps its list of experiments.

    Examples
    --------
    >>> prefix_of(8080, Path("/no/such/folder")) is None
    True
    """
    try:
        known = _read_list(nni_home.expanduser() / _LIST).values()
        there = [one for one in known if one.get("port") == port and _lives(one.get("pid"))]
        prefix = max(there, key=lambda one: one["startTime"])["prefixUrl"] if there else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return prefix if isinstance(prefix, str) else None


def _read_list(file: Path) -> Any:
    """Read NNI's list, which managers write in place: for a moment it may be incomplete."""
    for _ in range(_TRIES):
        try:
            return read_json(file)
        except ValueError:
            time.sleep(_PAUSE)
    return read_json(file)


def keep_list_private(nni_home: Path = NNI_HOME) -> None:
    """Let only the user read NNI's list of experiments, from before a prefix is written there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "nni-experiments"
    >>> keep_list_private(folder)
    >>> oct((folder / ".experiment").stat().st_mode & 0o777)
    '0o600'
    """
    file = nni_home.expanduser() / _LIST
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as empty:
            empty.write("{}")
    os.chmod(file, 0o600)


def _lives(process: object) -> bool:
    import psutil

    return isinstance(process, int) and psutil.pid_exists(process)
