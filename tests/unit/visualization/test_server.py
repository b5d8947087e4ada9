"""The server of `status --serve`: what it answers, and to whom; and the page that keeps up."""

import base64
import hashlib
import re
import subprocess
import threading

import pytest

from nni_stress.visualization import server as serving
from nni_stress.visualization.html_page import page
from nni_stress.visualization.server import LivePage, PageServer
from nni_stress.visualization.snapshot import overview
from tests.helpers.hostile import EVIL, ask, foreign_requests
from tests.unit.cli.test_status import evolve
from tests.unit.visualization.test_html_page import BROWSER


@pytest.fixture
def serve():
    """Start servers on free ports, and end them after the test."""
    started = []

    def start(text):
        server = PageServer(text, port=0)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(server)
        return server, server.server_address[1]

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def lineage(tmp_path):
    return evolve(tmp_path / "lineage", trained=6)


def test_the_page_shows_the_lineage_as_it_stands(serve, lineage, monkeypatch):
    monkeypatch.setattr(serving, "_PAUSE", 0.0)
    server, port = serve(LivePage(lineage.folder).text)
    status, text = ask(port, "GET", server.path)
    assert status == 200 and text == page(overview(lineage.folder), live=True)
    assert "no more memory" not in text
    lineage.add_failure("g002-01", "no more memory")
    assert "g002-01: no more memory" in ask(port, "GET", server.path)[1]
    kept = (lineage.folder / "state.json").read_text()
    (lineage.folder / "state.json").write_text("{")
    status, text = ask(port, "GET", server.path)
    assert status == 503 and "state.json is damaged" in text and len(text.splitlines()) == 1
    (lineage.folder / "state.json").write_text(kept)
    assert ask(port, "HEAD", server.path) == (200, "")


def test_a_lineage_that_did_not_change_is_not_drawn_again(lineage, monkeypatch):
    monkeypatch.setattr(serving, "_PAUSE", 0.0)
    live = LivePage(lineage.folder)
    first = live.text()
    assert live.text() is first
    lineage.update_state(finished="that was all")
    assert "finished: that was all" in live.text()


def test_foreign_hosts_and_pages_are_refused_as_by_the_manager(serve, lineage):
    server, port = serve(LivePage(lineage.folder).text)
    for request in foreign_requests(port, "trial", server.path.rstrip("/")):
        changed = {**request, "path": server.path}
        if ".." in request["path"]:
            changed["path"] = request["path"]
        status, text = ask(port, **changed)
        assert status == 403 and text.startswith("nni-stress: "), (request, text)
    for origin in (EVIL, "null", f"http://127.0.0.1:{port + 1}"):
        assert ask(port, "GET", server.path, Origin=origin)[0] == 403
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(port, "GET", server.path, **image)[0] == 403


def test_the_own_page_links_and_forwarded_ports_are_answered(serve, lineage, monkeypatch):
    server, port = serve(LivePage(lineage.folder).text)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000", "[::1]:9000"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert ask(port, "GET", server.path, **own)[0] == 200
        link = {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert ask(port, "GET", server.path, **link, Sec_Fetch_Dest="document")[0] == 200
        assert ask(port, "GET", server.path, **link, Sec_Fetch_Dest="iframe")[0] == 403
    assert ask(port, "GET", server.path, Host="gpu-box:8090")[0] == 403
    monkeypatch.setenv("NNI_STRESS_HOSTS", "other, GPU-box")
    assert ask(port, "GET", server.path, Host="gpu-box:8090")[0] == 200


def test_nothing_but_the_page_is_there_to_be_read(serve, lineage):
    server, port = serve(LivePage(lineage.folder).text)
    assert re.fullmatch(r"/[0-9a-f]{32}/", server.path)
    for path in ("/", server.path[:-2] + "/", f"{server.path}state.json", f"{server.path}../"):
        assert ask(port, "GET", path)[0] == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert ask(port, method, server.path)[0] == 405
    assert server.server_address[0] == "127.0.0.1"
    with PageServer(lambda: "", port=0) as other:
        assert other.path != server.path


def test_the_policy_allows_this_script_and_no_other(serve, lineage):
    server, port = serve(LivePage(lineage.folder).text)
    text = ask(port, "GET", server.path)[1]
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}';" in policy
    assert "connect-src 'self'" in policy and "http:" not in policy and "*" not in policy
    assert "<script" not in page(overview(lineage.folder))


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium and no google-chrome here")
def test_a_browser_shows_what_has_changed(serve, lineage, tmp_path):
    before = page(overview(lineage.folder), live=True)
    lineage.add_failure("g002-01", "no more memory")
    lineage.update_state(name="renamed", finished="that was all")
    after = page(overview(lineage.folder), live=True)
    answers = iter([before, after])
    server, _ = serve(lambda: next(answers, after))
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=9000"),
            *("--dump-dom", server.url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    shown = done.stdout.partition("<body>")[2]
    assert "<title>renamed</title>" in done.stdout and "finished: that was all" in shown
    assert "g002-01: no more memory" in shown and "CONSOLE" not in done.stderr
    assert re.search('<p id="connection"[^>]* hidden', shown)
