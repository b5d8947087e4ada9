"""Another user of the same machine reaches the port of a manager, but not what is behind it."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from nni_stress.nni_runtime.url_prefix import prefix_of
from tests.helpers.hostile import ask, connects
from tests.helpers.nnictl import nnictl
from tests.helpers.running import config_of
from tests.integration.test_foreign_pages import CHROMIUM

NOBODY = 65534
READ = """
import glob, json, sys
seen = ""
for pattern in ("/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ", *sys.argv[1:]):
    for name in glob.glob(pattern):
        try:
            seen += open(name, errors="replace").read()
        except OSError:
            pass
print(json.dumps(seen))
"""


def seen_by_another_user(*files):
    """Everything that another user reads of processes and of these files, if we may be one."""
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    command = [python, "-I", "-c", READ, *map(str, files)] if other else None
    if command is None:
        return "".join(" ".join(each.info["cmdline"] or []) for each in psutil.process_iter())
    return json.loads(subprocess.run(command, check=True, capture_output=True, **other).stdout)


def test_without_the_secret_nothing_is_answered_and_it_is_seen_nowhere(running):
    port = running.port
    prefix, trial = prefix_of(port), running.running_trial()
    assert re.fullmatch("[0-9a-f]{32}", prefix)
    wrong = prefix[:-1] + ("0" if prefix[-1] != "0" else "1")
    inside = "api/v1/nni/experiment"
    escaped = f"%{ord(prefix[0]):x}{prefix[1:]}"
    for path in (
        *("", "/", "/oview", f"/{inside}", "/logs/nnimanager.log", "/tuner", f"/?{prefix}"),
        *(f"/{wrong}/{inside}", f"/{prefix}x/{inside}", f"/{prefix[:-1]}/{inside}"),
        *(f"//{prefix}/{inside}", f"/{escaped}/{inside}", f"http://localhost/{inside}"),
        f"/api/v1/nni/trial-file/{trial}/stderr",
    ):
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            status, text = ask(port, method, path or "*", "{}" if method == "POST" else None)
            assert status == 403 and prefix not in text, (method, path, text)
    assert not connects(port) and not connects(port, path=f"/{wrong}/tuner")
    assert running.running_trial() == trial
    listed = Path.home() / "nni-experiments" / ".experiment"
    seen = seen_by_another_user(listed, running.folder / "*", running.folder / "log" / "*")
    assert prefix not in seen and (os.geteuid() != 0 or "main.js" in seen)


def test_what_is_written_is_for_the_user_alone(running):
    lineage = running.folder.parents[1] / "lineage"
    own = [running.folder, lineage, *lineage.rglob("*")]
    inside = [path for path in running.folder.glob("environments/**/*") if not path.is_symlink()]
    listed = Path.home() / "nni-experiments" / ".experiment"
    assert inside and len(own) > 3
    for path in [*own, *inside, listed]:
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


@pytest.mark.slow
def test_nnictl_and_the_page_find_the_secret(running, tmp_path):
    port = running.port
    url = f"http://127.0.0.1:{port}/{prefix_of(port)}/"
    assert url in nnictl("webui", "url", running.id).stdout
    trial = running.running_trial()
    assert trial in nnictl("trial", "ls", running.id).stdout
    assert '"status"' in nnictl("experiment", "status", running.id).stdout
    assert nnictl("update", "concurrency", running.id, "--value", 2).returncode == 0
    profile = requests.get(f"{running.api}/experiment", timeout=20).json()
    assert profile["params"]["trialConcurrency"] == 2
    done = nnictl("trial", "kill", running.id, "--trial_id", trial)
    assert done.returncode == 0 and running.until(lambda: running.running_trial() != trial)
    if CHROMIUM is not None:
        page = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", f"--user-data-dir={tmp_path / 'browser'}"),
                *("--virtual-time-budget=15000", "--dump-dom", url),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert running.id in page.stdout and "Max trial" in page.stdout


@pytest.mark.slow
def test_a_prefix_that_the_user_asks_for_stands_before_the_secret(experiment, port, tmp_path):
    config = config_of(tmp_path)
    running = experiment("create", "--config", config, "--url_prefix", "/nni")
    assert re.fullmatch("nni/[0-9a-f]{32}", prefix_of(port)) and running.status()
    assert ask(port, "GET", "/nni/api/v1/nni/check-status")[0] == 403
