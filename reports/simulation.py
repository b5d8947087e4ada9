"""Simulates NNI's manager in this process, with a clock that runs as fast as possible.

Simulated are one first-in-first-out queue of parameters, wrong parameter ids, and jobs that fail.
Tuner, barrier, lineage and the acceptance of parameters by a trial are the real ones.
"""

import random

from nni_stress.lineage.record import Record
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.nni_runtime.manager import Job
from nni_stress.trial.claim import ParameterSource, accept, parse
from nni_stress.utils.seeding import seed_of

SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.7]},
    "temperature": {"_type": "uniform", "_value": [0.0, 1.0]},
}


def achieved(spec: TrialSpec, ancestor: Record | None) -> tuple[float, int]:
    """Return fidelity and synapses (weights) of a cheap offspring.

    It loses more fidelity the more is removed, and a random amount, which depends on its name, its
    hyperparameters and the seed.

    Parameters
    ----------
    spec
        What the tuner sent to the trial.
    ancestor
        Record of the ancestor; None for the founder.
    """
    if ancestor is None:
        return 0.95, 100_000
    if spec.maturation:
        return ancestor.validation + 0.02, ancestor.synapses
    factor = spec.arguments["environmental_factor"]
    seed = seed_of(spec.seed, spec.uid, repr(sorted(spec.arguments.items())))
    noise = 0.01 * random.Random(seed).random()
    return ancestor.validation - 0.004 / factor + noise, round(ancestor.synapses * factor)


def cheap_record(spec: TrialSpec, lineage: Lineage) -> Record:
    """Return the record of a cheap offspring, or of the founder."""
    founder = lineage.record(FOUNDER)
    ancestor = None if spec.ancestor is None else lineage.record(spec.ancestor)
    fidelity, synapses = achieved(spec, ancestor)
    return Record(
        uid=spec.uid,
        generation=spec.generation,
        ancestor=spec.ancestor,
        arguments=dict(spec.arguments),
        validation=fidelity,
        test=fidelity,
        synapses=synapses,
        macs=10 * synapses,
        efficiency=founder.synapses / synapses if founder else 1.0,
        untrained=None,
        architecture={"layer": [synapses]},
        seconds={},
        other=spec.other,
        matured=spec.maturation,
    )


class SimulatedManager:
    """Runs a StressTuner to the end of its experiment.

    Parameters
    ----------
    tuner
        The StressTuner.
    concurrency
        Trials at a time.
    chance
        A random.Random that draws failures; None: nothing fails.

    Attributes
    ----------
    space
        The search space.
    error
        What the tuner reported as the reason to end in ERROR; None: nothing.
    ended
        Whether the tuner ended the experiment.
    now
        Simulated seconds.
    trained
        Names of the offspring that trained, in order.
    statuses, submitted
        {job: NNI's status}, {job: parameters}.
    """

    def __init__(self, tuner, concurrency=2, chance=None):
        self.tuner = tuner
        self.space = SPACE
        self.error = None
        self.ended = False
        self.now = 0.0
        self.trained = []
        self.statuses = {}
        self.submitted = {}
        self._concurrency = concurrency
        self._chance = chance
        self._count = 0
        self._queue = []
        self._jobs = []
        tuner.barrier.manager = self
        tuner.barrier.clock = lambda: self.now

    # What the barrier calls

    def jobs(self):
        """Return all jobs."""
        return [self.job(id) for id in self.statuses]

    def job(self, id):
        """Return a job; None if there is no such job."""
        return Job(id, self.statuses[id], self.submitted[id]) if id in self.statuses else None

    def cancelled_by_user(self, id):
        """Return whether a job was canceled."""
        return self.statuses[id] == "USER_CANCELED"

    def stopping(self):
        """Return False: the experiment is never stopped from outside."""
        return False

    def reason_of_end(self):
        """Return None: the manager does not end the experiment by itself."""
        return

    def cancel(self, id):
        """Cancel a job."""
        self.statuses[id] = "USER_CANCELED"

    def end_experiment(self):
        """End the experiment."""
        self.ended = True

    def last_words(self, job):
        """Return None: a simulated job leaves no output."""
        return

    # Callbacks of the tuner

    def report_error(self, text):
        """Take the reason to end in ERROR."""
        self.error = text

    def send(self, credit, parameters):
        """Take parameters, and submit a job for them."""
        job = f"job{self._count}"
        self._count += 1
        self.statuses[job] = "RUNNING"
        self.submitted[job] = parameters
        self._queue.append(parameters)
        self._jobs.append((job, credit))

    def run(self, seconds=100_000, until=lambda: False):
        """Run until the experiment ends, an error is reported, or `until` returns True.

        Parameters
        ----------
        seconds
            Simulated seconds after which the evolution is taken to hang.
        until
            Called before each simulated second.
        """
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
            spec = parse(self._queue.pop(0), ParameterSource.TUNER)
            lineage = accept(spec, job)
            if lineage is None:
                continue
            uid = spec.uid
            if self._happens(0.04):
                return "FAILED"  # killed
            if self._happens(0.04):
                lineage.add_failure(uid, "the training loss became nan")
                return "FAILED"
            if self._happens(0.02):
                return "USER_CANCELED"
            self.trained.append(uid)
            fidelity = self.offspring(spec, lineage)
            if not self._happens(0.2):  # metrics come late, or not at all
                self.tuner.receive_trial_result(7, "", {"default": fidelity, "uid": uid})
            return "SUCCEEDED"
        return "SUCCEEDED"

    def offspring(self, spec, lineage):
        """Make and record the offspring, or the founder; return its fidelity."""
        record = cheap_record(spec, lineage)
        lineage.add(record, lambda path: path.write_bytes(spec.uid.encode()))
        return record.validation
