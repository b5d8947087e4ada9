"""One trial of NNI's own pruners in a contest: see :mod:`reports.contest_tuner`, which sends what the trial is to be."""

from __future__ import annotations

import argparse

import nni
import torch

from nni_stress.graph import serialization
from nni_stress.trial import claim
from nni_stress.trial.task import load_task
from nni_stress.utils.seeding import seed_of


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; concurrency x threads = cores",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    claim.begin()
    from . import (
        pruners,
    )  # only now: NNI's compression is imported in seconds, were it not for begin()

    parameters = nni.get_next_parameter()
    try:
        task = load_task(parameters["task"], parameters["task_arguments"])
        founder = serialization.load(parameters["founder"], task.network)
        cell = [parameters[name] for name in ("method", "budget", "seed", "trial")]
        found = pruners.run(
            parameters["pruner"],
            task,
            founder,
            parameters["budget"],
            parameters["epochs"],
            parameters["knobs"],
            seed_of(*cell),
        )
        fitness = found["validation"]
    except Exception as error:  # a knob's value that this method does not survive is a result, too
        found, fitness = {"failed": " ".join(str(error).split()) or type(error).__name__}, 0.0
    nni.report_final_result(
        {
            "default": fitness,
            **{name: parameters[name] for name in ("method", "budget", "seed", "trial")},
            "knobs": parameters["knobs"],
            **found,
        }
    )


if __name__ == "__main__":
    main()
