"""A trial of an evolution in a contest, for any task."""

from __future__ import annotations

import argparse
import json

import torch

from nni_stress import run_trial
from nni_stress.trial.task import load_task


def main(arguments: list[str] | None = None) -> None:
    """Run one trial; `arguments` are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--task",
        required=True,
        help="function that creates the task: trial.py:make_task or package.module:make_task",
    )
    parser.add_argument(
        "--task-arguments", type=json.loads, default={}, help="arguments of that function, as JSON"
    )
    parser.add_argument("--founder", required=True, help="network file of the founder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    run_trial(lambda: load_task(options.task, options.task_arguments), options.founder)


if __name__ == "__main__":
    main()
