"""Serves the page of a lineage on 127.0.0.1, as the lineage stands at each request. Only reads."""

from __future__ import annotations

import errno
import http.server
import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ..nni_runtime.same_origin import reason_against
from ..utils.messages import one_line
from .html_page import page, policy
from .snapshot import Overview, overview

ADDRESS = "127.0.0.1"
_PAUSE = 1.0  # seconds for which a page is served without reading the lineage again
_PATIENCE = 10.0  # seconds to wait for a client


class LivePage:
    """The page of a lineage, which is made again when the lineage has changed.

    Parameters
    ----------
    folder
        The lineage's folder.

    Examples
    --------
    >>> import tempfile
    >>> from nni_stress.evolution.rules import Rules
    >>> from nni_stress.lineage.store import Lineage
    >>> folder = tempfile.mkdtemp()
    >>> Lineage(folder).update_state(**Rules(generations=3, tolerance=0.01)._asdict())
    >>> "at most 1 survivor" in LivePage(folder).text()
    True
    """

    def __init__(self, folder: str | Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._shown: Overview | None = None
        self._text = ""
        self._read = -_PAUSE  # when the lineage was last read

    def text(self) -> str:
        """The page as it stands, or stood a moment ago.

        Raises
        ------
        DamagedFileError
            If the lineage's state is missing, damaged, or lacks rules of the evolution.
        """
        with self._lock:
            if time.monotonic() - self._read >= _PAUSE:
                found = overview(self._folder)
                if found != self._shown:
                    self._text = page(found, live=True)
                    self._shown = found
                self._read = time.monotonic()
            return self._text


class PageServer(http.server.ThreadingHTTPServer):
    """Serves one page on 127.0.0.1, below a path that nobody can guess.

    Other users of the machine reach the port, but not the page.

    Parameters
    ----------
    text
        Returns the page. An OSError or a ValueError is answered with its message.
    port
        Where to listen. 0: on any free port.

    Raises
    ------
    OSError
        If the port is in use or not allowed.

    Examples
    --------
    >>> with PageServer(lambda: "<!doctype html>", port=0) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    daemon_threads = True
    # With SO_REUSEADDR a port that was in use a moment ago can be listened on again.
    allow_reuse_address = True

    def __init__(self, text: Callable[[], str], port: int):
        self.text = text
        self.path = f"/{secrets.token_hex(16)}/"
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise OSError(
                f"port {port} of {ADDRESS} cannot be used ({error.strerror}); "
                "name another, or 0 for any free one"
            ) from None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_address[1]}{self.path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests for the page, and refuses all others."""

    server: PageServer
    timeout = _PATIENCE
    server_version = "nni-stress"
    sys_version = ""

    def parse_request(self) -> bool:
        """Refuse requests, of whatever method, that may not be answered."""
        if not super().parse_request():
            return False
        reason = reason_against(self.command, self.headers)
        expected = self.server.path.encode()
        if reason is None and not secrets.compare_digest(self.path.encode(), expected):
            reason = "the URL must be the one that `status --serve` shows"
        if reason is not None:
            self._answer(HTTPStatus.FORBIDDEN, f"nni-stress: {reason}\n")
        elif self.command not in ("GET", "HEAD"):
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "nni-stress: the page can only be read\n")
        else:
            return True
        self.close_connection = True
        return False

    def do_GET(self) -> None:
        """Answer with the page."""
        try:
            text = self.server.text()
        except (OSError, ValueError) as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"nni-stress: {one_line(error)}\n")
        else:
            self._answer(HTTPStatus.OK, text, "text/html")

    do_HEAD = do_GET  # noqa: N815  # a name of http.server

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing: the terminal shows the lineage."""
