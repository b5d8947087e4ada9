"""Reads the SQLite database in which NNI's manager records an experiment.

It imports neither NNI nor torch: NNI takes a second to import, and its own reader of the database
runs code that the database names.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..exceptions import DamagedFileError
from ..utils.messages import one_line, short
from ..utils.plain_data import parse_json

_VALUE_BYTES = 2**24  # of one value
_STEPS = 20  # of a million instructions of SQLite's, some seconds in all


@contextlib.contextmanager
def open_read_only(experiment_folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database of an experiment for reading, and close it afterwards.

    Parameters
    ----------
    experiment_folder
        NNI's folder of the experiment, which holds ``db/nni.sqlite``.

    Raises
    ------
    OSError
        If there is no database, or it cannot be read, in the body of the ``with`` statement too.

    Examples
    --------
    >>> with open_read_only(Path("/no/such/folder")):
    ...     pass
    Traceback (most recent call last):
    FileNotFoundError: NNI has no database at /no/such/folder/db/nni.sqlite
    """
    database = experiment_folder.resolve() / "db" / "nni.sqlite"
    if not database.is_file():
        raise FileNotFoundError(f"NNI has no database at {database}")
    uri = f"{database.as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OSError(f"NNI's database {database} cannot be read: {error}") from error


def folder_of(connection: sqlite3.Connection) -> Path:
    """Return the folder of the experiment whose database this is.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()).resolve() / "ab12cd34"
    >>> (folder / "db").mkdir(parents=True)
    >>> folder_of(sqlite3.connect(folder / "db" / "nni.sqlite")) == folder
    True
    """
    (file,) = connection.execute(
        "select file from pragma_database_list where name = 'main'"
    ).fetchone()
    return Path(file).parents[1]


def experiment_config(
    connection: sqlite3.Connection, experiment_id: str | None = None
) -> dict[str, Any]:
    """Return the newest configuration of an experiment, as plain data; empty if there is none.

    Parameters
    ----------
    connection
        The experiment's database.
    experiment_id
        NNI's id of the experiment; by default, the newest configuration of any experiment.

    Raises
    ------
    DamagedFileError
        If the configuration is not a JSON object.
    sqlite3.Error
        If the database cannot be read, or reading it would take long.

    Examples
    --------
    >>> connection = sqlite3.connect(":memory:")
    >>> _ = connection.execute("create table ExperimentProfile (params, id, revision)")
    >>> row = ('{"trialConcurrency": 2}', "abc", 1)
    >>> _ = connection.execute("insert into ExperimentProfile values (?, ?, ?)", row)
    >>> experiment_config(connection, "abc")
    {'trialConcurrency': 2}
    """
    with _bounded(connection):
        row = connection.execute(
            "select params from ExperimentProfile where ?1 is null or id = ?1 "
            "order by revision desc limit 1",
            (experiment_id,),
        ).fetchone()
    if row is None:
        return {}
    try:
        config = parse_json(row[0] if isinstance(row[0], str) else "")
    except ValueError as error:
        raise DamagedFileError(
            f"the configuration in NNI's database is damaged: {one_line(error)}"
        ) from None
    if not isinstance(config, dict):
        raise DamagedFileError(
            f"the configuration in NNI's database must be a mapping, but got {short(config)}"
        )
    return config


@contextlib.contextmanager
def _bounded(connection: sqlite3.Connection) -> Iterator[None]:
    """Bound what a query may cost, as a view in place of a table may compute anything."""
    steps = itertools.count()
    connection.set_progress_handler(lambda: int(next(steps) > _STEPS), 1_000_000)
    if sys.version_info >= (3, 11):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def was_cancelled_by_user(connection: sqlite3.Connection, job_id: str) -> bool:
    """Tell whether the user cancelled a trial job, in the web page or by nnictl.

    Examples
    --------
    >>> connection = sqlite3.connect(":memory:")
    >>> _ = connection.execute("create table TrialJobEvent (trialJobId, event)")
    >>> was_cancelled_by_user(connection, "abcde")
    False
    """
    with _bounded(connection):
        (count,) = connection.execute(
            "select count(*) from TrialJobEvent where trialJobId = ? and event = 'USER_TO_CANCEL'",
            (job_id,),
        ).fetchone()
    return bool(count)
