"""A trial of NNI's whose trainings are so slow that it can be killed on the way.

python -m tests.helpers.slow_trial SECONDS_PER_BATCH
"""

import sys

import torch

from nni_stress import run_trial
from nni_stress.trial import snapshots
from tests.helpers.slow_offspring import make_task

if __name__ == "__main__":
    snapshots.EVERY, snapshots.SHARE = 0.0, 1e9
    torch.set_num_threads(1)
    run_trial(lambda: make_task("norms", float(sys.argv[1])))
