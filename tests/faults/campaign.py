"""The fault campaign: seeded faults of all kinds in real nnictl experiments with cheap trials.

    python -m tests.faults.campaign                       # 222 faults; results in runs/faults
    python -m tests.faults.campaign --faults 20 --seed 7

Two experiments run at a time. After its faults each experiment must reach DONE with a complete and
consistent lineage. An experiment in ERROR must give its reason in one line, and recover through
`nnictl resume`. No record may be lost, and no process left behind.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import requests

from nni_stress.experiment import launch
from nni_stress.lineage.store import Lineage
from reports.simulation import SPACE
from tests.faults.faulty_trial import AFTER, BEFORE
from tests.unit.evolution.test_tuner import consistent

ROOT = Path(__file__).parents[2]
POPULATION = 3
GENERATIONS = 4
PER_EXPERIMENT = 6  # faults
PATIENCE = 120  # seconds without progress after which an experiment counts as hanging
TRIAL = tuple(f"trial {fault}" for fault in (*BEFORE, *AFTER))
RUNNING = (
    "trial killed from outside",
    "shell of a trial killed",
    "trial cancelled by the user",
    "trial added by the user",
    "wrong search space",
    "new search space",
    "hostile parameters",
)
DOWN = ("stop and resume", "kill -9 of the manager", "kill -9 of the tuner", "power loss")
DAMAGE = (
    "damaged record",
    "damaged network",
    "damaged state",
    "damaged generation",
    "lost offspring",
)
NONE = "no target"  # result of a fault that found nothing to happen to
KINDS = (*TRIAL, *RUNNING, *DOWN, *DAMAGE, "full disk")


class Campaign:
    """One experiment and its faults.

    Parameters
    ----------
    folder
        Folder of the experiment.
    seed
        Seed of the experiment and of its faults.
    kinds
        Kinds of the faults, in order.
    port
        Port of NNI's manager.
    """

    def __init__(self, folder: Path, seed: int, kinds: list[str], port: int):
        self.folder = folder
        self.kinds = kinds
        self.port = port
        self.random = random.Random(seed)
        self.reasons: list[str] = []  # of each ERROR
        self.faults: list[dict] = []
        self.lineage = Lineage(folder / "disk" / "lineage")
        self.fault_folder = folder / "trial_faults"
        self.fault_folder.mkdir(parents=True)
        (folder / "disk").mkdir()
        self.mounted = _succeeds("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder / "disk")
        self.records: dict[str, str] = {}  # text of each record, which must not be lost
        self.config = self._config(seed)

    def _config(self, seed: int) -> dict:
        python = Path(sys.executable).name
        command = f"{python} -m tests.faults.faulty_trial {self.fault_folder} 0.4"
        if "shell of a trial killed" in self.kinds:  # a shell that Python does not replace
            script = self.folder / "trial.sh"
            script.write_text(f"{command}\nexit $?\n")
            command = f"sh {script}"
        return {
            "experimentName": f"faults {seed}",
            "searchSpace": SPACE,
            "trialConcurrency": 2,
            "trialCodeDirectory": str(ROOT),
            "trialCommand": command,
            "tuner": {
                "className": "nni_stress.StressTuner",
                "codeDirectory": str(ROOT),
                "classArgs": {
                    "population_size": POPULATION,
                    "generations": GENERATIONS,
                    "tolerance": 0.9,
                    "seed": seed,
                    "survivors": 2,
                    "time_limit": 8,
                    "folder": str(self.lineage.folder),
                },
            },
            "trainingService": {"platform": "local"},
        }

    def run(self) -> dict:
        """Run the experiment with its faults; return faults, reasons of errors, and outcome."""
        started = time.time()
        try:
            self.experiment = launch.start(self.config, self.folder, self.port)
            for kind in self.kinds:
                self._wait_a_moment()
                self._remember_records()
                done = self._inject_when_possible(kind)
                self.faults.append(
                    {
                        "kind": kind,
                        "done": done,
                        "generation": (self.lineage.read_state() or {}).get("generation"),
                    }
                )
            self._wait_for_end()
            self._check()
            outcome = "DONE"
        except (
            AssertionError,
            launch.LaunchError,
            requests.RequestException,
            OSError,
            ValueError,
        ) as error:
            outcome = f"FAILED: {type(error).__name__}: {error}"
        finally:
            self._stop()
        left = self._processes_left()
        if left:
            outcome = f"FAILED: left behind {left}"
        if self.mounted:
            self._unmount()
        return {
            "kinds": self.kinds,
            "faults": self.faults,
            "reasons": self.reasons,
            "outcome": outcome,
            "seconds": round(time.time() - started, 1),
        }

    def _unmount(self) -> None:
        """Replace the mounted disk by a folder with the same content."""
        disk, copy = self.folder / "disk", self.folder / "copy"
        shutil.copytree(disk, copy)
        for _ in range(40):  # a process that has just ended may keep it busy for a moment
            if _succeeds("umount", disk):
                break
            time.sleep(0.5)
        disk.rmdir()
        copy.rename(disk)

    # Course of the experiment

    def _wait_a_moment(self) -> None:
        time.sleep(self.random.uniform(0.2, 3.5))
        self._recover_from_error()

    def _status(self) -> str:
        try:
            return self.experiment.status()[0]
        except (requests.RequestException, ValueError, KeyError):
            return "GONE"

    def _recover_from_error(self) -> None:
        status = self._status()
        if status == "ERROR":
            reason = self.experiment.reason() or "; ".join(self.experiment.status()[1])
            assert reason and "\n" not in reason, "an ERROR without its reason"
            self.reasons.append(reason)
        if status in ("ERROR", "GONE"):
            self._restart()

    def _restart(self) -> None:
        self._stop()
        for file in (self.folder / "disk").glob("filler*"):
            file.unlink()
        self.experiment = launch.resume(self.experiment, self.port)

    def _stop(self) -> None:
        if hasattr(self, "experiment"):
            self.experiment.stop()

    def _wait_for_end(self) -> None:
        resumes = 0
        previous, since = None, time.time()
        while (status := self._status()) != "DONE":
            progress = status, sorted(path.name for path in self.lineage.folder.glob("*/*"))
            if progress != previous:
                previous, since = progress, time.time()
            assert time.time() < since + PATIENCE, f"the experiment hangs, {status}"
            if status in ("ERROR", "GONE"):
                resumes += 1
                assert resumes < 4, f"the experiment does not recover from {self.reasons[-1:]}"
                time.sleep(1)
                self._recover_from_error()
            time.sleep(0.5)

    def _remember_records(self) -> None:
        self.records.update(
            {
                path.parent.name: path.read_text()
                for path in (self.lineage.folder / "offspring").glob("g*/record.json")
            }
        )

    def _check(self) -> None:
        consistent(self.lineage, self.lineage.read_state(), POPULATION)
        for uid, text in self.records.items():
            copies = [
                self.lineage.folder / "offspring" / uid,
                *(self.lineage.folder / "aside").glob(f"{uid}.*"),
            ]
            texts = [copy / "record.json" for copy in copies if (copy / "record.json").exists()]
            assert any(path.read_text() == text for path in texts), f"the record of {uid} was lost"

    def _processes_left(self) -> list[str]:
        for _ in range(40):
            left = [
                " ".join(process.info["cmdline"])[:120]
                for process in psutil.process_iter(["cmdline"])
                if any(str(self.folder) in word for word in process.info["cmdline"] or [])
            ]
            if not left:
                return []
            time.sleep(0.5)
        return left

    # Faults; each returns what it did, or why there was nothing to do

    def _inject_when_possible(self, kind: str) -> str:
        """Wait for the target of the fault, such as a running trial or a recorded offspring."""
        deadline = time.time() + 15
        while (
            (done := self._inject(kind)) == NONE
            and time.time() < deadline
            and self._status() not in ("DONE", "ERROR")
        ):
            time.sleep(0.2)
        return done

    def _inject(self, kind: str) -> str:
        if kind in TRIAL:
            fault = kind.removeprefix("trial ")
            (self.fault_folder / f"{len(self.faults):03d}.{fault}.todo").touch()
            return "waits for a trial"
        if kind in DAMAGE:
            return self._damage(kind)
        return getattr(self, "_" + kind.replace(" ", "_").replace("-", ""))()

    def _processes(self, word: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if word in line and str(self.folder) in line + " ".join(_environment(process)):
                found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def _kill(self, word: str, shell: bool = False) -> str:
        """Kill a process with a word in its command line: a shell, or any other."""
        found = [
            process
            for process in self._processes(word)
            if (process.name() in ("sh", "bash")) == shell
        ]
        if not found:
            return NONE
        process = self.random.choice(found)
        _kill(process)
        return f"killed {process.pid}"

    def _trial_killed_from_outside(self) -> str:
        return self._kill("tests.faults.faulty_trial")

    def _shell_of_a_trial_killed(self) -> str:
        return self._kill("trial.sh", shell=True)

    def _api(self, method: str, path: str, **arguments) -> str:
        try:
            answer = requests.request(
                method, f"http://127.0.0.1:{self.port}/api/v1/nni/{path}", timeout=20, **arguments
            )
            return str(answer.status_code)
        except requests.RequestException as error:
            return type(error).__name__

    def _jobs(self) -> list[dict]:
        try:
            return requests.get(
                f"http://127.0.0.1:{self.port}/api/v1/nni/trial-jobs", timeout=20
            ).json()
        except (requests.RequestException, ValueError):
            return []

    def _trial_cancelled_by_the_user(self) -> str:
        active = [
            job["trialJobId"] for job in self._jobs() if job["status"] in ("WAITING", "RUNNING")
        ]
        return self._api("DELETE", f"trial-jobs/{self.random.choice(active)}") if active else NONE

    def _trial_added_by_the_user(self) -> str:
        known = [job["hyperParameters"][0] for job in self._jobs() if job.get("hyperParameters")]
        parameters = (
            json.loads(self.random.choice(known))["parameters"] if known else {"temperature": 0.5}
        )
        return self._api("POST", "trial-jobs", json=parameters)

    def _hostile_parameters(self) -> str:
        return self._api(
            "POST", "trial-jobs", json={"__nni_obj__": "x", "uid": "../../x", "lineage": "/"}
        )

    def _search_space(self, space) -> str:
        return self._api(
            "PUT",
            "experiment",
            params={"update_type": "SEARCH_SPACE"},
            json={"params": {"searchSpace": space}},
        )

    def _wrong_search_space(self) -> str:
        return self._search_space({"environmental_factr": {"_type": "uniform", "_value": [0, 9]}})

    def _new_search_space(self) -> str:
        return self._search_space({**SPACE, "stress_peak": {"_type": "uniform", "_value": [0, 1]}})

    def _stop_and_resume(self) -> str:
        self._restart()
        return "resumed"

    def _kill_9_of_the_manager(self) -> str:
        done = self._kill("main.js")
        time.sleep(self.random.choice([0.0, 2.0]))
        self._restart()
        return done

    def _kill_9_of_the_tuner(self) -> str:
        done = self._kill("nni --exp_params")
        time.sleep(self.random.choice([0.5, 3.0]))
        if self._status() in ("ERROR", "GONE"):
            self._recover_from_error()
        else:
            self._restart()
        return done

    def _power_loss(self) -> str:
        for process in self._processes(""):
            _kill(process)
        # files that a power loss may leave half-written
        for path, content in (
            (self.lineage.folder / ".state.json.x7", b'{"incarn'),
            (self.lineage.folder / "attempts" / "g001-00.9", b""),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        incomplete = self.lineage.folder / "offspring" / ".g001-00.half"
        incomplete.mkdir(parents=True, exist_ok=True)
        (incomplete / "record.json").write_text("{")
        self._restart()
        return "all processes killed"

    def _damage(self, kind: str) -> str:
        homes = sorted((self.lineage.folder / "offspring").glob("g*"))
        if not homes and kind not in ("damaged state", "damaged generation"):
            return NONE
        self._stop()
        path = None
        if kind == "damaged state":
            path = self.lineage.folder / "state.json"
        elif kind == "damaged generation":
            path = self.random.choice(
                sorted((self.lineage.folder / "generations").glob("g*")) or [None]
            )
        else:
            home = self.random.choice(homes)
            path = home / ("record.json" if kind == "damaged record" else "network.safetensors")
            self.records.pop(home.name, None)
            if kind == "lost offspring":
                shutil.rmtree(home)
                path = None
        if path is not None and path.exists():
            content = bytearray(path.read_bytes())
            if self.random.random() < 0.5:
                del content[len(content) // 2 :]
            else:
                content[self.random.randrange(len(content))] ^= 0xFF
            path.write_bytes(content)
        self.experiment = launch.resume(self.experiment, self.port)
        return str(path.relative_to(self.folder)) if path else "gone"

    def _full_disk(self) -> str:
        if not self.mounted:
            return "not possible here: a small disk could not be mounted"
        with (
            open(self.folder / "disk" / "filler", "wb", buffering=0) as file,
            contextlib.suppress(OSError),
        ):
            while True:
                file.write(b"x" * 4096)
        deadline = time.time() + 25
        while self._status() not in ("ERROR", "GONE", "DONE") and time.time() < deadline:
            time.sleep(0.5)
        (self.folder / "disk" / "filler").unlink()
        self._recover_from_error()
        return "filled"


def _succeeds(*command: object) -> bool:
    return subprocess.run([*map(str, command)], capture_output=True).returncode == 0


def _environment(process: psutil.Process) -> list[str]:
    try:
        return list(process.environ().values())
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=222)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "faults")
    parser.add_argument("--port", type=int, default=18400)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    generator = random.Random(options.seed)
    kinds: list[str] = []
    while len(kinds) < options.faults:
        kinds += generator.sample(list(options.kinds), len(options.kinds))
    plans = [kinds[i : i + PER_EXPERIMENT] for i in range(0, options.faults, PER_EXPERIMENT)]

    def run_experiment(index: int) -> dict:
        return Campaign(
            options.folder.resolve() / f"{index:03d}",
            options.seed * 1000 + index,
            plans[index],
            options.port + 10 * index,
        ).run()

    results = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for index, result in enumerate(pool.map(run_experiment, range(len(plans)))):
            results.append(result)
            print(
                f"experiment {index:3d}  {result['seconds']:6.1f} s  {result['outcome']}  "
                f"{', '.join(result['kinds'])}",
                flush=True,
            )
            for reason in result["reasons"]:
                print(f"      recovered from ERROR: {reason}", flush=True)
    counts = collections.Counter(
        fault["kind"]
        for result in results
        for fault in result["faults"]
        if not fault["done"].startswith((NONE, "not possible"))
    )
    (options.folder / "faults.json").write_text(
        json.dumps({"counts": counts, "experiments": results}, indent=1)
    )
    print(
        "\n".join(f"{counts[kind]:5d}  {kind}" for kind in KINDS),
        f"\n{sum(counts.values()):5d}  faults",
    )
    sys.exit(any(result["outcome"] != "DONE" for result in results))


if __name__ == "__main__":
    main()
