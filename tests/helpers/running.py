"""An experiment that nnictl runs, as tests of its manager see it."""

import socket
import time

import psutil
import requests
import yaml

from nni_stress.nni_runtime.rest import ManagerClient

WAITING = "import nni, time\nnni.get_next_parameter()\ntime.sleep(300)\n"
PROBING = """
from nni.tuner import Tuner
from nni_stress.nni_runtime.loopback import refuse_exposed_manager

class Probe(Tuner):
    def __init__(self, answer):
        try:
            refuse_exposed_manager()
            answer_text = "not exposed"
        except ValueError as error:
            answer_text = str(error)
        open(answer, "w").write(answer_text)

    def update_search_space(self, space):
        pass
"""


def config_of(folder, **changes):
    (folder / "space.yml").write_text(
        yaml.safe_dump({"stress_peak": {"_type": "uniform", "_value": [0, 1]}})
    )
    (folder / "trial.py").write_text(WAITING)
    (folder / "probing.py").write_text(PROBING)
    config = {
        "searchSpaceFile": "space.yml",
        "trialCommand": "python3 trial.py",
        "trialConcurrency": 1,
        "tuner": {"className": "nni_stress.StressTuner"},
        "trainingService": {"platform": "local"},
        "experimentWorkingDirectory": str(folder / "nni"),
        **changes,
    }
    (folder / "stress.yml").write_text(yaml.safe_dump(config))
    return folder / "stress.yml"


class Running:
    """An experiment that nnictl has started; the fixture stops it at the end of the test."""

    def __init__(self, port, folder):
        self.port = port
        self.id = (folder / "nni" / "_latest").readlink().name
        self.folder = folder / "nni" / self.id

    @property
    def api(self):
        """Where the manager's REST interface begins, with the secret of this start."""
        return ManagerClient.on_port(self.port).url

    def until(self, condition, seconds=90):
        deadline = time.time() + seconds
        while time.time() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.3)
        raise AssertionError(
            f"waited in vain; {(self.folder / 'log' / 'nnictl_stderr.log').read_text()}"
        )

    def running_trial(self):
        return next(
            (
                job["trialJobId"]
                for job in requests.get(f"{self.api}/trial-jobs", timeout=20).json()
                if job["status"] == "RUNNING"
            ),
            None,
        )

    def status(self):
        return requests.get(f"{self.api}/check-status", timeout=20).json()["status"]

    def listening(self):
        """Return the addresses on which the manager and its descendants listen."""
        manager = next(
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == self.port
        )
        processes = {
            manager,
            *(child.pid for child in psutil.Process(manager).children(recursive=True)),
        }
        return {
            tuple(each.laddr)
            for each in psutil.net_connections("inet")
            if each.pid in processes
            and (
                each.status == psutil.CONN_LISTEN
                or (each.type == socket.SOCK_DGRAM and not each.raddr)
            )
        }
