"""What killed writers leave is removed at the next start, and never what is being written."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from nni_stress.lineage.store import Lineage, Record
from nni_stress.utils.atomic_files import write_json
from nni_stress.utils.temporaries import folder_beside, remove_leftovers

WRITER = """
import sys, time
from pathlib import Path
from nni_stress.utils.temporaries import file_beside, folder_beside

folder = Path(sys.argv[1])
with file_beside(folder / "state.json") as (_, file), folder_beside(folder / "g001-00") as inner:
    file.write(b"a part")
    (inner / "network").write_bytes(b"a part")
    print("writing", flush=True)
    time.sleep(600)
"""


def hidden(folder):
    return sorted(path.name.rpartition(".")[0] for path in folder.glob(".*"))


def test_a_living_writer_keeps_its_files_and_a_killed_one_leaves_none(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    assert hidden(tmp_path) == [".g001-00", ".state.json"]
    os.kill(process.pid, signal.SIGSTOP)
    assert remove_leftovers(tmp_path) == []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert hidden(tmp_path) == [".g001-00", ".state.json"]
    assert remove_leftovers(tmp_path, "other.json") == []
    assert len(remove_leftovers(tmp_path, "state.json")) == 1
    assert len(remove_leftovers(tmp_path)) == 1 and not hidden(tmp_path)


@pytest.mark.parametrize("name", [".state.json", "state.json.0123456789abcdef", ".a.0123456789"])
def test_other_files_stay(tmp_path, name):
    (tmp_path / name).write_text("the user's")
    (tmp_path / ".link.json.0123456789abcdef").symlink_to(tmp_path / name)
    assert remove_leftovers(tmp_path) == []
    assert (tmp_path / name).read_text() == "the user's"


def test_a_missing_folder_holds_no_leftovers(tmp_path):
    assert remove_leftovers(tmp_path / "none") == []


def write_often(folder, number):
    for count in range(200):
        write_json(folder / f"{number}.json", {"count": count})
        with folder_beside(folder / f"f{number}-{count}") as temporary:
            (temporary / "content").write_text("all")
            os.rename(temporary, folder / f"f{number}-{count}")


def test_writers_and_a_cleaner_do_not_disturb_each_other(tmp_path):
    """Every file is either being written, and locked, or complete under its name."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        remove_leftovers(tmp_path)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    for number in range(3):
        assert '"count": 199' in (tmp_path / f"{number}.json").read_text()
        assert len(list(tmp_path.glob(f"f{number}-*/content"))) == 200
    assert not hidden(tmp_path)


def test_a_lineage_is_cleaned_and_keeps_what_is_recorded(tmp_path):
    lineage = Lineage(tmp_path)
    record = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    lineage.add(record, lambda path: path.write_bytes(b"network"))
    lineage.update_state(generation=0)
    for name in ("", "offspring", "failures", "snapshots", "generations"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / ".g001-00.0123456789abcdef").mkdir()
    before = lineage.record("g000-00")
    lineage.remove_leftovers()
    assert not list(tmp_path.rglob(".*")) and lineage.record("g000-00") == before
