"""A trial without torch: one offspring a second, whose fidelity follows from its name and settings.

python3 -m tests.helpers.cheap_trial [seconds]
"""

import sys
import time

import nni

from nni_stress.trial.claim import receive
from reports.simulation import cheap_record


def main() -> None:
    spec, lineage = receive()
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
    record = lineage.add(
        cheap_record(spec, lineage),
        lambda path: path.write_bytes(spec.uid.encode()),
    )
    nni.report_final_result({"default": record.validation, "uid": record.uid})


if __name__ == "__main__":
    main()
