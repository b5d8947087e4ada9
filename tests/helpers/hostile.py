"""What hostile web pages and programs send to NNI's manager."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import websockets

EVIL = "http://evil.example"
API = "/api/v1/nni"


def ask(
    port: int, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, str]:
    """Send a request with exactly these headers; return status and text of the answer.

    In the names of headers "_" stands for "-".
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


def foreign_requests(port: int, trial: str, path: str = API) -> Iterator[dict[str, Any]]:
    """Arguments of `ask` for requests of foreign hosts and pages, and of paths that lead upwards.

    Parameters
    ----------
    port
        The manager's port.
    trial
        Id of a trial job.
    path
        Where the REST interface begins.
    """
    local, experiment = f"127.0.0.1:{port}", f"{path}/experiment"
    body = json.dumps({"params": {"maxTrialNumber": 1}})
    upwards = f"{path}/trial-file/{trial}/..%2f..%2f..%2f..%2fsecret"
    for method, address, content, headers in [
        ("GET", experiment, None, {"Host": "evil.example"}),
        ("GET", experiment, None, {"Host": f"evil.example:{port}"}),
        ("GET", experiment, None, {"Host": f"127.0.0.1.evil.example:{port}"}),
        ("GET", experiment, None, {"Host": f"127.0.0.1:{port}@evil.example"}),
        ("GET", experiment, None, {"Host": f"192.168.0.1:{port}"}),
        ("DELETE", f"{path}/trial-jobs/{trial}", None, {"Host": "evil.example"}),
        ("PUT", f"{experiment}?update_type=MAX_TRIAL_NUM", body, {"Host": "evil.example"}),
        ("POST", experiment, "x", {"Origin": EVIL, "Content_Type": "text/plain"}),
        ("POST", experiment, "x", {"Origin": "null", "Content_Type": "text/plain"}),
        ("POST", experiment, "x", {"Origin": "http://127.0.0.1:1", "Content_Type": "text/plain"}),
        ("POST", experiment, "x", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}),
        ("GET", experiment, None, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}),
        ("GET", upwards, None, {}),
        ("GET", upwards.replace("%2f", "%252f"), None, {}),
        ("GET", upwards.replace("%2f", "%5c"), None, {}),
    ]:
        yield {"method": method, "path": address, "body": content, "Host": local, **headers}


def connects(port: int, host: str = "127.0.0.1", path: str = "/tuner", **settings: Any) -> bool:
    """Whether the manager accepts a WebSocket to its tuner's channel; a refusal must be a 403."""

    async def connect() -> bool:
        address = f"ws://{host}:{port}{path}"
        async with websockets.connect(address, host="127.0.0.1", port=port, **settings):
            return True

    try:
        return asyncio.run(connect())
    except websockets.InvalidStatus as error:
        return error.response.status_code != 403


def send_commands(address: str, commands: list[dict[str, Any]]) -> str:
    """Send commands to NNI's manager as if this was its tuner; return what became of them."""

    async def send() -> str:
        async with websockets.connect(address) as socket:
            for command in commands:
                await socket.send(json.dumps(command))
            await asyncio.sleep(0.5)
        return f"sent {len(commands)} commands"

    try:
        return asyncio.run(send())
    except (websockets.WebSocketException, OSError) as error:
        return f"refused: {error}"
