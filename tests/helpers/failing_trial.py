"""A trial of LeNet-5 in which some offspring fail, each in another way."""

import os
import signal

import nni

from nni_stress.trial import offspring
from trials import lenet5

make_offspring = offspring.make_offspring


def fail_or_make(task, spec, lineage, watch):
    if spec.uid == "g001-01":
        raise RuntimeError("made to fail")
    if spec.uid == "g002-00":
        os.kill(os.getpid(), signal.SIGKILL)
    return make_offspring(task, spec, lineage, watch)


if __name__ == "__main__":
    if nni.get_sequence_id() == 3:  # before it asks for parameters; the next trial gets them then
        os._exit(3)
    offspring.make_offspring = fail_or_make
    lenet5.main()
