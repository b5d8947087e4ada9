"""NNI's manager in this process, with all that it does to a tuner, and a clock that runs as fast as one likes.

What is simulated is NNI's runtime: one first-in-first-out queue of parameters, wrong names, jobs that die. Tuner, barrier,
lineage and the trial's acceptance of parameters are the real ones; the real manager runs in test_experiment and in the
fault campaign.
"""

import random

from nni_stress.lineage.store import FOUNDER, Record
from nni_stress.nni_runtime.manager import Job
from nni_stress.trial.claim import accept
from nni_stress.utils.seeding import seed_of

SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.7]},
    "temperature": {"_type": "uniform", "_value": [0.0, 1.0]},
}


def achieved(parameters: dict, ancestor: Record | None) -> tuple[float, int]:
    """Fidelity and synapses: the more is removed, the more is lost, and chance has its share."""
    if ancestor is None:
        return 0.95, 100_000
    factor = parameters["arguments"]["environmental_factor"]
    chance = random.Random(
        seed_of(
            parameters["seed"], parameters["uid"], repr(sorted(parameters["arguments"].items()))
        )
    )
    return ancestor.validation - 0.004 / factor + 0.01 * chance.random(), round(
        ancestor.synapses * factor
    )


class SimulatedManager:
    """Runs a StressTuner.

    Parameters
    ----------
    tuner
        The tuner; its lineage lies in a folder.
    concurrency
        Trials at once.
    chance
        Of what goes wrong, a random.Random; None: nothing does.
    """

    def __init__(self, tuner, concurrency=2, chance=None):
        self.tuner, self._concurrency, self._chance, self.space = tuner, concurrency, chance, SPACE
        self._count = 0
        self.statuses, self.submitted, self._queue, self._jobs = {}, {}, [], []
        self.error, self.ended, self.now, self.trained = None, False, 0.0, []
        tuner.barrier.manager, tuner.barrier.clock = self, lambda: self.now

    # What the barrier asks of a manager

    def jobs(self):
        return [self.job(id) for id in self.statuses]

    def job(self, id):
        return Job(id, self.statuses[id], self.submitted[id]) if id in self.statuses else None

    def cancelled_by_user(self, id):
        return self.statuses[id] == "USER_CANCELED"

    def stopping(self):
        return False

    def cancel(self, id):
        self.statuses[id] = "USER_CANCELED"

    def end_experiment(self):
        self.ended = True

    def last_words(self, job):
        return None

    # What a tuner's way out is bound to

    def report_error(self, text):
        self.error = text

    def send(self, credit, parameters):
        job, self._count = f"job{self._count}", self._count + 1
        self.statuses[job], self.submitted[job] = "RUNNING", parameters
        self._queue.append(parameters)
        self._jobs.append((job, credit))

    # The run

    def run(self, seconds=100_000, until=lambda: False):
        """Run to the end of the experiment, an error, or `until` says so."""
        self.tuner.update_search_space(self.space)
        self._request(range(self._concurrency))
        while not (self.ended or self.error or until()):
            self.now += 1.0
            assert self.now < seconds, "the evolution hangs"
            if self._jobs:
                self._end_one()
            with self.tuner.barrier.lock:
                self.tuner.barrier.look()

    def _request(self, ids):
        self.tuner.generate_multiple_parameters(list(ids), st_callback=self.send)

    def _happens(self, probability):
        return self._chance is not None and self._chance.random() < probability

    def _end_one(self):
        place = self._chance.randrange(len(self._jobs)) if self._chance else 0
        job, credit = self._jobs.pop(place)
        if self._happens(0.05):
            self.statuses[job] = "FAILED"  # before it has asked for its parameters
        else:
            self.statuses[job] = self._trial(job)
        named = credit if not self._happens(0.3) else None
        self.tuner.trial_end(named, True)
        self._request([1000 + self._count])

    def _trial(self, job):
        while self._queue:
            parameters = self._queue.pop(0)
            lineage = accept(parameters, "algorithm", job)
            if lineage is None:
                continue
            uid = parameters["uid"]
            if self._happens(0.04):
                return "FAILED"  # killed
            if self._happens(0.04):
                lineage.add_failure(uid, "the training loss became nan")
                return "FAILED"
            if self._happens(0.02):
                return "USER_CANCELED"
            self.trained.append(uid)
            fidelity = self.offspring(parameters, lineage)
            if not self._happens(0.2):  # metrics come late, or not at all
                self.tuner.receive_trial_result(7, "", {"default": fidelity, "uid": uid})
            return "SUCCEEDED"
        return "SUCCEEDED"

    def offspring(self, parameters, lineage):
        """Make the offspring, or the founder, and record it; returns its fidelity."""
        founder, uid = lineage.record(FOUNDER), parameters["uid"]
        ancestor = lineage.record(parameters["ancestor"]) if founder else None
        fidelity, synapses = achieved(parameters, ancestor)
        lineage.add(
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
                {},
                parameters["other"],
            ),
            lambda path: path.write_bytes(uid.encode()),
        )
        return fidelity


def survivors(tuner):
    """What decides a lineage, but for the time it took."""
    return [record._replace(seconds={}) for record in tuner._lineage.records()]
