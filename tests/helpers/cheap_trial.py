"""A trial without torch: an offspring in a second, whose fidelity follows from its name and hyperparameters.

python3 -m tests.helpers.cheap_trial [seconds]
"""

import sys
import time

import nni

from nni_stress.lineage.store import FOUNDER, Record
from nni_stress.trial.claim import receive
from reports.simulation import achieved


def main() -> None:
    parameters, lineage = receive()
    uid = parameters["uid"]
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
    ancestor = None if uid == FOUNDER else lineage.record(parameters["ancestor"])
    fidelity, synapses = achieved(parameters, ancestor)
    founder = lineage.record(FOUNDER)
    record = lineage.add(
        Record(
            uid,
            parameters["generation"],
            parameters["ancestor"],
            parameters["arguments"],
            fidelity,
            fidelity,
            synapses,
            10 * synapses,
            founder.synapses / synapses if founder else 1.0,
            None,
            {"layer": [synapses]},
            {"recovery": 0.0},
            parameters["other"],
        ),
        lambda path: path.write_bytes(b"network of " + uid.encode()),
    )
    nni.report_final_result({"default": record.validation, "uid": uid})


if __name__ == "__main__":
    main()
