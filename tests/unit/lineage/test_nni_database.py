"""The reader of NNI's database."""

import sqlite3
import sys

import pytest

from nni_stress.exceptions import DamagedFileError
from nni_stress.lineage import nni_database
from tests.helpers.limits import within


@pytest.fixture
def folder(tmp_path):
    """An experiment's folder with two revisions of a configuration, and one of another."""
    (tmp_path / "a #?%folder" / "db").mkdir(parents=True)
    with sqlite3.connect(tmp_path / "a #?%folder" / "db" / "nni.sqlite") as connection:
        connection.execute("create table ExperimentProfile (params text, id text, revision int)")
        connection.executemany(
            "insert into ExperimentProfile values (?, ?, ?)",
            [
                ('{"trialConcurrency": 2}', "mine", 1),
                ('{"trialConcurrency": 1}', "mine", 0),
                ('{"__symbol__": "path:os.system"}', "another", 2),
                ("[]", "list", 0),
            ],
        )
    connection.close()
    return tmp_path / "a #?%folder"


def test_the_newest_configuration_is_plain_data(folder):
    with nni_database.open_read_only(folder) as database:
        assert nni_database.experiment_config(database, "mine") == {"trialConcurrency": 2}
        hostile = {"__symbol__": "path:os.system"}
        assert nni_database.experiment_config(database) == hostile
        assert nni_database.experiment_config(database, "nobody") == {}
        with pytest.raises(ValueError, match="must be a mapping, but got"):
            nni_database.experiment_config(database, "list")


@pytest.mark.parametrize(
    "params",
    [
        # A view in place of the table computes for ever, or a value of 500 MB.
        "(with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n)",
        "hex(zeroblob(250000000))",
        "cast(zeroblob(10) as text)",
        "x'ff00'",
        "5",
        "null",
        "'" + "[" * 10_000 + "'",
        '\'{"a": ' + "9" * 5000 + "}'",
    ],
)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 has no limits")
def test_a_hostile_database_is_refused_in_one_line(params, tmp_path):
    (tmp_path / "db").mkdir()
    with sqlite3.connect(tmp_path / "db" / "nni.sqlite") as connection:
        view = f"select {params} as params, 'mine' as id, 1 as revision"
        connection.execute(f"create view ExperimentProfile as {view}")
    connection.close()
    with (
        within(),
        pytest.raises((DamagedFileError, OSError)) as error,
        nni_database.open_read_only(tmp_path) as database,
    ):
        nni_database.experiment_config(database, "mine")
    assert "NNI's database" in str(error.value) and "\n" not in str(error.value)


def test_the_database_is_read_only_and_closed_afterwards(folder):
    with (
        pytest.raises(OSError, match=r"nni\.sqlite cannot be read: attempt to write"),
        nni_database.open_read_only(folder) as database,
    ):
        database.execute("delete from ExperimentProfile")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("select 1")


def test_every_fault_is_an_os_error(tmp_path):
    (tmp_path / "db").mkdir()
    with (
        pytest.raises(FileNotFoundError, match="NNI has no database at"),
        nni_database.open_read_only(tmp_path),
    ):
        pass
    (tmp_path / "db" / "nni.sqlite").write_text("garbage" * 1000)
    with (
        pytest.raises(OSError, match="cannot be read: file is not a database"),
        nni_database.open_read_only(tmp_path) as database,
    ):
        nni_database.experiment_config(database)
