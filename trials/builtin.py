"""A trial of one of NNI's own pruners in a contest; the contest's tuner sends its parameters.

The code and the files that it uses are named on the command line, never by a message.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nni
import torch

from nni_stress.graph import serialization
from nni_stress.trial import claim
from nni_stress.trial.task import Task, load_task
from nni_stress.utils.messages import one_line
from nni_stress.utils.seeding import seed_of

_CELL = ("method", "budget", "seed", "trial")  # parameters that identify a trial of the contest


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
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; trials at a time x threads should equal the number of cores",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    claim.begin()
    nni.report_final_result(
        run(
            nni.get_next_parameter(),
            lambda: load_task(options.task, options.task_arguments),
            options.founder,
        )
    )


def run(
    parameters: Mapping[str, Any], make_task: Callable[[], Task], founder_file: str | Path
) -> dict[str, Any]:
    """Run one trial, and return the result that the contest's tuner is told.

    Parameters
    ----------
    parameters
        As the contest's tuner hands them out.
    make_task
        Makes the task.
    founder_file
        Network file of the founder.
    """
    from . import pruners  # after begin(), which spares imports of NNI's compression that take long

    cell = {name: parameters[name] for name in _CELL}
    try:
        task = make_task()
        founder = serialization.load(founder_file, task.network)
        result = pruners.run(
            parameters["pruner"],
            task,
            founder,
            parameters["budget"],
            parameters["epochs"],
            parameters["knobs"],
            seed_of(*cell.values()),
        )
        fitness = result["validation"]
    except Exception as error:  # a choice of hyperparameters that fails is a result of the search
        result, fitness = {"failed": one_line(error)}, 0.0
    return {"default": fitness, **cell, "knobs": parameters["knobs"], **result}


if __name__ == "__main__":
    main()
