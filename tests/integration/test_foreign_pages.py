"""What a web page of another origin, or a DNS name that resolves to this machine, can send."""

import contextlib
import http.server
import shutil
import subprocess
import threading

import pytest
import requests

from nni_stress.nni_runtime.url_prefix import prefix_of
from tests.helpers.hostile import EVIL, ask, connects, foreign_requests
from tests.helpers.running import config_of

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def state(running):
    """What a hostile request would change: the profile, the running trial, and the status."""
    profile = requests.get(f"{running.api}/experiment", timeout=20).json()
    healthy = running.status() in ("RUNNING", "TUNER_NO_MORE_TRIAL")
    return profile["id"], profile["params"], running.running_trial(), healthy


def api(port):
    """Path of the REST interface, with the secret; what is tried here is refused in spite of it."""
    return f"/{prefix_of(port)}/api/v1/nni"


def test_a_foreign_host_or_origin_is_refused_and_nothing_changes(running):
    port = running.port
    secret = running.folder.parent / "secret"
    secret.write_text("for the user alone")
    before = state(running)
    trial = running.running_trial()
    for request in foreign_requests(port, trial, api(port)):
        status, text = ask(port, **request)
        assert status == 403 and text.startswith("nni-stress: "), (request, text)
    assert state(running) == before and trial in before


def test_a_web_socket_of_a_foreign_page_is_refused(running):
    port = running.port
    before, path = state(running), f"/{prefix_of(port)}/tuner"
    assert not connects(port, path=path, origin=EVIL)
    assert not connects(port, path=path, origin="null")
    assert not connects(port, path=path, host="evil.example")
    assert state(running) == before


def test_the_managers_own_page_and_a_forwarded_port_are_served(running):
    """`ssh -L 9000:127.0.0.1:PORT` sends another port, as Host and as Origin."""
    port = running.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000", "[::1]:9000"):
        page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert ask(port, "GET", f"{api(port)}/check-status", **page)[0] == 200
        link = {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert ask(port, "GET", f"/{prefix_of(port)}/", **link, Sec_Fetch_Dest="document")[0] == 200
    trial = running.running_trial()
    assert ask(port, "GET", f"{api(port)}/trial-file/{trial}/stderr")[0] == 200


def test_a_name_that_the_user_gave_is_good(experiment, port, tmp_path):
    config_of(tmp_path)
    experiment(NNI_STRESS_HOSTS="gpu-box, other.example")
    status = f"{api(port)}/check-status"
    assert ask(port, "GET", status, Host=f"gpu-box:{port}")[0] == 200
    assert ask(port, "GET", status, Host=f"other.example:{port}")[0] == 200
    assert ask(port, "GET", status, Host=f"evil.example:{port}")[0] == 403


PAGE = """<!doctype html><title>waiting</title><body>
<form id=form method=post enctype=text/plain target=frame action="{api}/experiment">
<input name=a value=b></form><iframe name=frame></iframe><img src="{api}/experiment">
<script>
const api = "{api}";
const tries = [
    fetch(api + "/experiment"),
    fetch(api + "/experiment", {{method: "POST", mode: "no-cors", body: "x"}}),
    fetch(api + "/experiment?update_type=MAX_TRIAL_NUM",
          {{method: "PUT", body: '{{"params": {{"maxTrialNumber": 1}}}}'}}),
    fetch(api + "/trial-jobs/{trial}", {{method: "DELETE"}}),
    new Promise((resolve, reject) => {{
        const socket = new WebSocket(api.replace("http", "ws").replace("/api/v1/nni", "/tuner"));
        socket.onopen = () => {{ socket.send("TR" + JSON.stringify({{}})); resolve("open"); }};
        socket.onerror = reject;
    }}),
];
document.getElementById("form").submit();
Promise.allSettled(tries).then((found) => {{
    document.title = found.map((one) => one.status === "fulfilled"
        ? (one.value.type === "opaque" ? "opaque" : "got through") : "refused").join(" ");
    document.body.innerHTML = document.title;
}});
</script>"""


def serve(text):
    """Serve one page on a port of its own; returns the server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium and no google-chrome here")
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1", "rebound.example"])
def test_a_page_in_a_real_browser_changes_nothing(name, running, tmp_path):
    """A page of a foreign name, of another port of this machine, and one whose name is rebound."""
    before, trial, port = state(running), running.running_trial(), running.port
    target = "rebound.example" if name == "rebound.example" else "127.0.0.1"
    server = serve(PAGE.format(api=f"http://{target}:{port}{api(port)}", trial=trial))
    with contextlib.closing(server.socket):
        done = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--disable-quic", f"--user-data-dir={tmp_path / 'browser'}"),
                "--host-resolver-rules=MAP *.example 127.0.0.1",
                *("--virtual-time-budget=15000", "--dump-dom"),
                f"http://{name}:{server.server_port}/",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        server.shutdown()
    assert "refused opaque refused refused refused" in done.stdout, done.stdout + done.stderr
    assert state(running) == before and trial in before
