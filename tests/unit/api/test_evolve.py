"""`evolve` in the user's own process: results, workers, interruption, the way to nnictl."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from nni_stress import Evolution, StressTuner, evolve, open_lineage
from nni_stress.lineage.store import Lineage
from nni_stress.trial.errors import InputError
from nni_stress.trial.offspring import make
from reports.simulation import SimulatedManager
from tests.unit.trial.test_in_process import ARGUMENTS, SPACE, UIDS, make_task, records
from tests.unit.trial.test_snapshots import Killed, killed_at


def run(folder, task=None, **changes):
    arguments = {**ARGUMENTS, "progress": False, **changes}
    return evolve(task or make_task(), folder, space=SPACE, **arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


class Manager(SimulatedManager):
    """NNI's manager, whose trials make real offspring."""

    def offspring(self, spec, lineage):
        return make(make_task(), spec, lineage, None).validation


def test_results(whole, tmp_path):
    assert [record.uid for record in whole.records] == UIDS
    assert whole.finished == "all 2 generations done, and the best matured"
    best = whole.best
    assert best.matured and best in whole.frontier and whole.founder.uid == "g000-00"
    network = whole.network()
    assert sum(p.numel() for p in network.parameters()) == best.synapses
    assert make_task().fidelity(network, "validation") == best.validation
    frame = whole.frame()
    assert list(frame.index) == UIDS and frame.loc[best.uid, "synapses"] == best.synapses
    exported = whole.export(tmp_path / "best")
    assert exported.record.uid == best.uid and "network.onnx" in exported.files
    axes = whole.plot()
    assert len(axes.collections) == 3 and "parameters" in axes.get_xlabel()
    assert best.uid in whole._repr_html_() and best.uid in repr(whole)
    again = open_lineage(whole.folder)
    assert again.best == best
    with pytest.raises(ValueError, match=r"open_lineage\(folder, task\)"):
        again.network()


@pytest.mark.slow
def test_several_workers_make_the_same(whole, tmp_path):
    """The task is sent by value, as what a notebook defines: its functions have no module."""
    task = make_task()
    namespace = {"judge": task.fidelity}
    exec("def fidelity(network, split): return judge(network, split)", namespace)
    local = dataclasses.replace(task, fidelity=namespace["fidelity"])
    torch.set_num_threads(1)
    found = run(tmp_path, local, workers=2)
    assert records(Lineage(found.folder)) == records(Lineage(whole.folder))


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_offspring_only(tmp_path):
    task = make_task()
    killed = tmp_path / "killed"

    def kills(outputs, targets):
        if (tmp_path / "offspring" / "g000-00").exists():
            with contextlib.suppress(FileExistsError):
                os.mkdir(killed)  # by one worker only
                os.kill(os.getpid(), signal.SIGKILL)
        return task.loss(outputs, targets)

    arguments = {"generations": 1, "maturation_epochs": 0.0}
    found = run(tmp_path, dataclasses.replace(task, loss=kills), workers=2, **arguments)
    lost = [loss.reason for loss in found.overview.losses]
    assert lost == ["its process was killed (out of memory?)"] and len(found.records) == 2


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_wrong_input_is_one_error(tmp_path, workers):
    task = dataclasses.replace(make_task(), loss=lambda outputs, targets: 0.5)
    with pytest.raises(InputError, match=r"Task\.loss must return a tensor"):
        run(tmp_path, task, workers=workers)
    assert run(tmp_path, resume=True).finished


def test_a_folder_in_use_is_refused_unless_it_resumes(whole):
    with pytest.raises(FileExistsError, match="resume=True"):
        run(whole.folder)
    before = records(Lineage(whole.folder))
    assert records(Lineage(run(whole.folder, resume=True).folder)) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, but got 0"),
        ({"generatons": 2}, "unknown argument 'generatons'"),
        ({"tolerance": -1}, "tolerance must"),
        ({"task": "lenet5"}, "task must be an nni_stress.Task, but got str"),
        ({"space": {"temprature": 1}}, "temprature"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(tmp_path, changes, message):
    arguments = {"task": make_task(), "space": SPACE, "progress": False, **changes}
    with pytest.raises((TypeError, ValueError), match=message):
        evolve(folder=tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_it_goes_on_under_nnictl_and_back(whole, tmp_path):
    """The first generation here, the second under a manager, the maturation here again."""
    with pytest.raises(Killed):
        run(tmp_path, killed_at(make_task(), 40))
    begun = len(Evolution(tmp_path).records)
    manager = Manager(StressTuner(folder=str(tmp_path), **ARGUMENTS), concurrency=1)
    manager.space = SPACE
    manager.run(until=lambda: len(Lineage(tmp_path).records()) == len(UIDS) - 1)
    assert 0 < begun < len(UIDS) - 1
    assert Lineage(tmp_path).read_state()["finished"] is None
    run(tmp_path, resume=True)
    assert records(Lineage(tmp_path)) == records(Lineage(whole.folder))


def test_ctrl_c_leaves_what_resume_continues(whole, tmp_path):
    script = textwrap.dedent(
        """
        import dataclasses, signal, sys, time
        from tests.unit.api.test_evolve import make_task, run

        def slowly(generator):
            for batch in task.loader(generator):
                time.sleep(0.05)
                yield batch

        class Slow:
            def __init__(self, generator):
                self.generator = generator

            def __len__(self):
                return len(task.loader(self.generator))

            def __iter__(self):
                return slowly(self.generator)

        signal.signal(signal.SIGINT, signal.default_int_handler)  # some shells have it ignored
        task = make_task()
        run(sys.argv[1], dataclasses.replace(task, loader=Slow), progress=True)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while not (tmp_path / "offspring" / "g001-00").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in shown and "evolution:" in shown and "g001" in shown
    found = run(tmp_path, resume=True)
    assert records(Lineage(found.folder)) == records(Lineage(whole.folder))
