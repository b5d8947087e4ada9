"""One trial of an evolution in a contest, of any task: see :mod:`reports.running`, which starts it."""

from __future__ import annotations

import argparse
import json

import torch

from nni_stress import run_trial
from nni_stress.trial.task import load_task


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--task",
        required=True,
        help="what makes the task: trial.py:make_task or package.module:make_task",
    )
    parser.add_argument(
        "--task-arguments", type=json.loads, default={}, help="of that function, as JSON"
    )
    parser.add_argument("--founder", required=True, help="file of the founder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    run_trial(lambda: load_task(options.task, options.task_arguments), options.founder)


if __name__ == "__main__":
    main()
