import fcntl

import pytest

from nni_stress.lineage.read_only import LineageView
from nni_stress.lineage.store import Lineage, Record
from nni_stress.utils.atomic_files import write_atomically, write_json

RECORD = Record(
    uid="g001-02",
    generation=1,
    ancestor="g000-00",
    arguments={"temperature": 0.1},
    validation=0.9,
    test=0.88,
    synapses=10,
    macs=20,
    efficiency=4.0,
    untrained=0.5,
    architecture={"fc": [2, 5]},
    seconds={"recovery": 1.0},
)


@pytest.fixture
def lineage(tmp_path):
    return Lineage(tmp_path / "lineage")


def test_a_record_comes_back_as_it_was_added(lineage):
    added = lineage.add(RECORD, lambda path: path.write_bytes(b"network"))
    assert added._replace(digest=None) == RECORD and len(added.digest) == 32
    assert (
        lineage.records() == [added] and lineage.network_path("g001-02").read_bytes() == b"network"
    )


def test_a_record_of_an_earlier_release_is_read(lineage):
    lineage.add(RECORD, lambda path: path.write_bytes(b"network"))
    later = {"latency", "digest", "curve", "forecast", "clusters", "untrained_loss", "judged"}
    old = {name: value for name, value in RECORD._asdict().items() if name not in later}
    write_json(lineage.folder / "offspring" / "g001-02" / "record.json", old)
    assert lineage.record("g001-02") == RECORD


def test_the_first_to_finish_wins(lineage):
    first = lineage.add(RECORD, lambda path: path.write_bytes(b"first"))
    assert (
        lineage.add(RECORD._replace(validation=0.1), lambda path: path.write_bytes(b"second"))
        == first
    )
    assert lineage.network_path("g001-02").read_bytes() == b"first"


def test_an_offspring_whose_network_cannot_be_written_does_not_appear(lineage):
    def fail(path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        lineage.add(RECORD, fail)
    assert lineage.records() == [] and lineage.record("g001-02") is None
    assert list((lineage.folder / "offspring").iterdir()) == []


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    file = tmp_path / "state.json"
    write_json(file, {"generation": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, {"generation": float("nan")})
    with pytest.raises(TypeError):
        write_atomically(file, "not bytes")
    assert file.read_text() == '{\n "generation": 1\n}' and list(tmp_path.iterdir()) == [file]


def test_a_damaged_record_is_named(lineage):
    lineage.add(RECORD, lambda path: path.write_bytes(b""))
    file = lineage.folder / "offspring" / "g001-02" / "record.json"
    file.write_text(file.read_text()[:20])
    with pytest.raises(ValueError, match=r"record\.json is damaged"):
        lineage.record("g001-02")
    file.write_text('{"uid": "g001-02"}')
    with pytest.raises(ValueError, match=r"record\.json is not a record"):
        lineage.record("g001-02")


@pytest.mark.parametrize("uid", ["../../etc", "g1-0", "g001-02/..", "", None, "g001-02\n"])
def test_a_name_that_would_leave_the_folder_is_refused(lineage, uid):
    for use in (
        lineage.network_path,
        lineage.record,
        lineage.failure,
        lambda u: lineage.claim(u, "0.0", "job"),
        lambda u: lineage.add_failure(u, "reason"),
    ):
        with pytest.raises(ValueError, match="an offspring is named like"):
            use(uid)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": "g001-03"}, "uid must be g001-02, but got 'g001-03'"),
        ({"ancestor": "../.."}, "named like g001-00"),
        ({"validation": "0.9"}, "validation must be a finite number"),
        ({"synapses": None}, "synapses must be a finite number"),
        ({"arguments": []}, "arguments must be a mapping"),
        ({"test": True}, "test must be a finite number"),
        ({"generation": 10**9}, "generation must be that of g001-02, but got 1000000000"),
        ({"macs": 0}, "macs must be above 0"),
        ({"latency": -1}, "latency must be above 0"),
        ({"untrained": "<b>"}, "untrained must be a finite number"),
        ({"macs": 10**400}, "whole numbers must have at most 100 digits"),
        ({"test": float("1e200")}, "test must be a finite number"),
        ({"untrained_loss": [0.5]}, "untrained_loss must be a finite number"),
        ({"judged": "200"}, "judged must be a finite number"),
    ],
)
def test_a_record_with_an_impossible_value_is_refused(lineage, change, words):
    lineage.add(RECORD, lambda path: path.write_bytes(b""))
    write_json(
        lineage.folder / "offspring" / "g001-02" / "record.json", {**RECORD._asdict(), **change}
    )
    with pytest.raises(ValueError, match=words):
        lineage.record("g001-02")


def test_a_damaged_offspring_is_set_aside_and_can_be_made_again(lineage):
    for number in range(2):
        lineage.add(RECORD, lambda path: path.write_bytes(b"network"))
        assert lineage.sound("g001-02", with_network=True) is not None
        lineage.network_path("g001-02").write_bytes(b"netw0rk")
        assert lineage.sound("g001-02") is not None  # the record alone is sound
        assert (
            lineage.sound("g001-02", with_network=True) is None
            and lineage.record("g001-02") is None
        )
        assert (
            lineage.folder / "aside" / f"g001-02.{number}" / "network.safetensors"
        ).read_bytes() == b"netw0rk"
    lineage.add(RECORD, lambda path: path.write_bytes(b"network"))
    (lineage.folder / "offspring" / "g001-02" / "record.json").write_text("{")
    assert lineage.sound("g001-02") is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "\x00", '{"a": 1}', '{"incarnation": 1, "x": [NaN]}', "[" * 100_000]
)
def test_damaged_files_of_the_tuner_are_set_aside(lineage, content):
    lineage.update_state(incarnation=3)
    lineage.write_generation(1, {"offspring": [], "suggestions": [], "closed": None})
    lineage.add_failure("g001-02", "reason")
    for path in ("generations/g001.json", "failures/g001-02.json"):
        (lineage.folder / path).write_text(content)
    assert lineage.generation(1) is None and lineage.failure("g001-02") is None
    lineage.claim("g001-02", "3.0", "job")
    (lineage.folder / "state.json").write_text(content)
    assert lineage.last_incarnation() == 3


def test_a_view_lists_damaged_files_and_moves_nothing(lineage):
    lineage.add(RECORD, lambda path: path.write_bytes(b"network"))
    lineage.add(RECORD._replace(uid="g001-03"), lambda path: path.write_bytes(b"network"))
    lineage.add_failure("g001-04", "no memory")
    damaged = {
        "offspring/g001-02": "offspring/g001-02/record.json",
        "state.json": "state.json",
        "generations/g001.json": "generations/g001.json",
        "failures/g001-04.json": "failures/g001-04.json",
    }
    for path in damaged.values():
        (lineage.folder / path).parent.mkdir(exist_ok=True)
        (lineage.folder / path).write_text("{")
    view = LineageView(lineage.folder)
    for _again in range(2):
        assert [record.uid for record in view.records()] == ["g001-03"] and view.failures() == []
        assert (
            view.read_state() is None
            and view.generation(1) is None
            and sorted(view.damaged) == sorted(damaged)
        )
    assert all((lineage.folder / path).read_text() == "{" for path in damaged.values())
    assert not (lineage.folder / "aside").exists()


def test_a_failure_that_may_be_retried_is_set_aside(lineage):
    lineage.add_failure("g001-02", "no data", fatal=True)
    lineage.allow_retry("g001-02")
    assert (
        lineage.failure("g001-02") is None
        and "no data" in (lineage.folder / "aside" / "g001-02.json.0").read_text()
    )


def test_an_attempt_can_be_claimed_once(lineage):
    assert lineage.claim("g001-02", "0.0", "job1") and not lineage.claim("g001-02", "0.0", "job2")
    assert (
        lineage.claimant("g001-02", "0.0") == "job1" and lineage.claimant("g001-02", "0.1") is None
    )
    assert lineage.claim("g001-02", "0.10", "job3") and lineage.claim("g001-02", "1.0", "job4")
    view = LineageView(lineage.folder)
    assert (
        view.taker("g001-02", 0) == "job3"
        and view.taker("g001-02", 1) == "job4"
        and view.taker("g001-02", 2) is None
    )


def test_a_lineage_is_under_way_while_its_lock_is_held(lineage):
    lineage.folder.mkdir()
    assert not LineageView(lineage.folder).is_under_way()
    with open(lineage.folder / "tuner.lock", "w") as file:
        assert not LineageView(lineage.folder).is_under_way()
        fcntl.flock(file, fcntl.LOCK_EX)
        assert LineageView(lineage.folder).is_under_way()


def test_failures_are_kept(lineage):
    lineage.add_failure("g001-02", "out of memory")
    assert (
        lineage.failure("g001-02")
        == lineage.failures()[0]
        == {"uid": "g001-02", "reason": "out of memory", "fatal": False}
    )
