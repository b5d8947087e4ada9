"""A client of the REST interface of NNI's manager."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .url_prefix import prefix_of

if TYPE_CHECKING:
    import requests

_PATH = "/api/v1/nni"


class ManagerClient:
    """Sends requests to NNI's manager.

    Every method raises an OSError (such as ``requests.RequestException``) if the manager does not
    answer, or answers with an error.

    Parameters
    ----------
    url
        Where the REST interface begins, as ``http://127.0.0.1:8080/api/v1/nni``.
    timeout
        Seconds to wait for an answer.

    Examples
    --------
    >>> ManagerClient.on_port(1).url
    'http://127.0.0.1:1/api/v1/nni'
    """

    def __init__(self, url: str, timeout: float = 20) -> None:
        self.url = url
        self.timeout = timeout

    @classmethod
    def on_port(cls, port: int, timeout: float = 20) -> ManagerClient:
        """Return a client of the manager of this user that listens on this port of 127.0.0.1."""
        prefix = prefix_of(port)
        return cls(f"http://127.0.0.1:{port}{f'/{prefix}' if prefix else ''}{_PATH}", timeout)

    @classmethod
    def of_tuner(cls) -> ManagerClient | None:
        """Return a client of the manager that runs this process as its tuner; None elsewhere.

        Examples
        --------
        >>> os.environ["NNI_TUNER_COMMAND_CHANNEL"] = "ws://localhost:8080/prefix/tuner"
        >>> ManagerClient.of_tuner().url
        'http://localhost:8080/prefix/api/v1/nni'
        >>> del os.environ["NNI_TUNER_COMMAND_CHANNEL"]
        >>> ManagerClient.of_tuner() is None
        True
        """
        channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
        if not channel:
            return None
        base = channel.replace("ws:", "http:", 1).rsplit("/tuner", 1)[0]
        return cls(base + _PATH)

    def status(self) -> tuple[str, list[str]]:
        """Return NNI's status of the experiment (RUNNING, DONE, ERROR, ...), and its errors."""
        answer = self._request("GET", "check-status").json()
        return answer["status"], answer.get("errors", [])

    def tuner_is_ready(self) -> bool:
        """Tell whether the experiment's tuner has started; a manager without patience.js: no."""
        return self._request("GET", "check-status").headers.get("X-NNI-Stress-Tuner") == "ready"

    def experiment(self) -> dict[str, Any]:
        """Return the experiment's profile, which holds its configuration under ``params``."""
        profile: dict[str, Any] = self._request("GET", "experiment").json()
        return profile

    def set_max_trial_number(self, number: int) -> None:
        """Change the number of trials after which the experiment is done."""
        self._request(
            "PUT",
            "experiment",
            params={"update_type": "MAX_TRIAL_NUM"},
            json={"params": {"maxTrialNumber": number}},
        )

    def trial_jobs(self) -> list[dict[str, Any]]:
        """Return all trial jobs, as NNI describes them."""
        jobs: list[dict[str, Any]] = self._request("GET", "trial-jobs").json()
        return jobs

    def trial_job(self, job_id: str) -> dict[str, Any] | None:
        """Return one trial job; None if the manager answers with an error.

        The error does not tell whether there is no such job or the manager is in trouble.
        """
        answer = self._request_if_available(f"trial-jobs/{job_id}")
        job: dict[str, Any] | None = None if answer is None else answer.json()
        return job

    def trial_file(self, job_id: str, name: str) -> str | None:
        """Return the text of a trial job's file, as ``stderr``; None if there is none."""
        answer = self._request_if_available(f"trial-file/{job_id}/{name}")
        return None if answer is None else answer.text

    def cancel(self, job_id: str) -> None:
        """Cancel a trial job."""
        self._request("DELETE", f"trial-jobs/{job_id}")

    def _request_if_available(self, path: str) -> requests.Response | None:
        import requests

        try:
            return self._request("GET", path)
        except requests.HTTPError:
            return None

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        import requests  # here, because the tuner must start fast

        answer = requests.request(method, f"{self.url}/{path}", timeout=self.timeout, **options)
        answer.raise_for_status()
        return answer
