"""Point 1: nobody commands Prefect but its owner, and no server of ours takes a web page or a proxy for its owner."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from deployments.up.checks import basic
from deployments.up.home import Home
from deployments.up.prefect import sign_in
from deployments.up.stack import Stack
from deployments.up.supervisor import write_configuration
from inktally.settings import Settings
from tests.support import messages
from tests.support.apis import api_settings, running_api, serving
from tests.support.browsers import CHROMIUM, running_browser
from tests.support.machine import PREFECT_SIGN_IN, PROJECT, environment_of_servers
from tests.support.prefect_servers import PrefectServer
from tests.support.receivers import Recorder, running_receiver
from tests.support.servers import answers, free_port, process, running_spark, wait_until
from web import inbox
from web.app import create_app

EVIL = "https://evil.example"
COMMAND = {"job_variables": {"command": "touch /tmp/inktally-was-commanded"}}
OF_OTHERS = [
    {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-Host": "words.example"}, {"X-Forwarded-Proto": "https"},
    {"Forwarded": "for=203.0.113.7"}, {"X-Real-IP": "203.0.113.7"}, {"CF-Connecting-IP": "203.0.113.7"},
    {"CF-Ray": "1"}, {"True-Client-IP": "203.0.113.7"}, {"Via": "1.1 proxy"}, {"X-Amzn-Trace-Id": "Root=1"},
    {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
]  # fmt: skip
NAMES = ("rebound.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80")
OWN_NAMES = (
    "localhost", "LOCALHOST:8082", "localhost.", "127.0.0.1", "[::1]:80", "192.0.2.7",
    "words.example.org", "hooks.example.org", "other.example.org:443",
)  # fmt: skip


class TestPrefectServer:
    """The one that `make up`, `make prefect` and the tests start, as deployments/up/prefect.py describes it."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": EVIL},
            {"Host": "rebound.example"},
            {"Host": "health"},
            basic("inktally:guessed"),
            basic("inktally:"),
            {"Authorization": "Bearer x"},
            {"Authorization": f"Basic {PREFECT_SIGN_IN}"},
        ],
    )
    def test_without_the_secret_nothing_is_told_and_nothing_started(
        self, prefect: PrefectServer, headers: dict[str, str]
    ) -> None:
        for path in ("/flows/filter", "/deployments/filter", "/events", "/work_pools/x/workers/filter"):
            assert httpx.post(f"{prefect.api}{path}", json={}, headers=headers).status_code == 401
        run = f"{prefect.api}/deployments/00000000-0000-0000-0000-000000000000/create_flow_run"
        assert httpx.post(run, json=COMMAND, headers=headers).status_code == 401

    def test_a_page_of_another_address_may_not_read_its_answers(self, prefect: PrefectServer) -> None:
        own = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, may in ((EVIL, None), ("null", None), (prefect.api.removesuffix("/api"), True)):
            asked = httpx.options(f"{prefect.api}/flows/filter", headers={"Origin": origin, **own})
            told = httpx.get(f"{prefect.api}/health", headers={"Origin": origin})
            for answer in (asked, told):
                assert answer.headers.get("access-control-allow-origin") == (origin if may else None)

    def test_its_owner_is_served(self, prefect: PrefectServer) -> None:
        assert isinstance(prefect.asked("/flows/filter", {}), list)
        told = httpx.get(prefect.api.replace("/api", "/ui-settings")).json()
        assert told["auth"] == "BASIC", "the UI asks for the secret"

    @pytest.mark.long
    @pytest.mark.skipif(not CHROMIUM, reason="Debian's chromium is not installed")
    def test_its_owner_signs_in_to_the_ui_by_pasting_the_secret(self, prefect: PrefectServer) -> None:
        with running_browser() as browser:
            page = browser.new_page()
            page.set_default_timeout(120_000)
            for shown, then in (("inktally:guessed", "Invalid credentials"), (PREFECT_SIGN_IN, "Logout")):
                page.goto(prefect.api.removesuffix("/api"))
                page.locator("input[type=password]").fill(shown)
                page.keyboard.press("Enter")
                page.get_by_text(then).first.wait_for()

    def test_its_secret_is_no_argument_of_a_process_and_is_not_stored_by_prefect(self, prefect: PrefectServer) -> None:
        assert answers(f"{prefect.api}/health")
        lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
        assert not [line for line in lines if PREFECT_SIGN_IN in line]
        assert prefect.holders_of(PREFECT_SIGN_IN) == []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_make_up_keeps_its_secrets_in_files_of_the_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "up")
    with home.locked():
        stack = Stack(home, "folder", "process", "you@example.com")
        home.write_environment(stack.environment())
        configuration = write_configuration(home, stack.stages()).read_text()
    secret = sign_in(home)
    assert secret.startswith("inktally:")
    assert len(secret) > 40
    assert sign_in(Home(tmp_path / "other")) != secret
    holders = [path for path in home.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert {path.name for path in holders} == {"prefect", "environment", "supervisord.conf"}
    assert {mode(path) for path in holders} == {0o600}
    assert mode(home.folder / "secrets") == 0o700
    commands = [line for line in configuration.splitlines() if line.startswith("command")]
    assert commands
    secrets = [each.read_text() for each in (home.folder / "secrets").iterdir()]
    assert not [line for line in commands if any(each in line for each in secrets)]
    assert stack.environment()["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == home.secret("spark")
    assert stack.environment()["INKTALLY_INBOX_PASSWORD"] == home.secret("inbox")


COUNT = """
import sys
from pyspark.sql.connect.session import SparkSession
try:
    print(SparkSession.builder.remote(sys.argv[1]).create().range(3).count())
except Exception as error:
    print("UNAUTHENTICATED" in str(error))
"""


@pytest.mark.long
def test_spark_with_a_secret_runs_nobody_elses_code(tmp_path: Path) -> None:
    own = {"SPARK_CONNECT_MODE_ENABLED": "1", "SPARK_CONNECT_AUTHENTICATE_TOKEN": "a secret of Spark's"}
    with running_spark(tmp_path, environment_of_servers(**own)) as server:
        command = [sys.executable, "-c", COUNT, server.address.replace("127.0.0.1", "localhost")]
        for told, shown in ({}, "True"), (own, "3"):
            done = subprocess.run(
                command, env=environment_of_servers(**told), capture_output=True, text=True, timeout=120, check=False
            )
            assert done.stdout.split() == [shown], done.stderr


TEMPORARY = """
import httpx, os
from prefect import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from flows.commands.api_server import api_server

with api_server():
    api, secret = PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value()
    with get_client(sync_client=True) as client:
        print(client.read_flows() == [])
        headers = dict(client._client.headers)
    for without in ({}, {"Origin": "https://evil.example"}):
        print(httpx.post(f"{api}/flows/filter", json={}, headers=without, timeout=60).status_code)
    print(httpx.post(f"{api}/flows/filter", json={}, headers={**headers, "Host": "rebound.example"}).status_code)
    print(secret != os.environ["PREFECT_API_AUTH_STRING"], len(secret) > 40)
"""


@pytest.mark.long
def test_the_temporary_server_of_a_command_knows_that_command_only(tmp_path: Path) -> None:
    environment = environment_of_servers(HOME=tmp_path, PREFECT_HOME=tmp_path, PYTHONPATH=PROJECT)
    done = subprocess.run(
        [sys.executable, "-c", TEMPORARY], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "401", "401", "400", "True", "True"], done.stderr


@pytest.mark.long
def test_make_prefect_starts_a_server_that_the_shells_environment_opens(tmp_path: Path) -> None:
    environment = environment_of_servers(PREFECT_HOME=tmp_path / "home", PYTHONPATH=PROJECT)
    command = [sys.executable, "-m", "deployments.up.prefect", str(tmp_path / "made")]
    with process(command, tmp_path / "log", environment) as server:
        file = tmp_path / "made" / "environment"
        wait_until(file.exists, server)
        url = file.read_text().partition("PREFECT_API_URL=")[2].split()[0]
        wait_until(lambda: answers(f"{url}/health"), server)
        shell = ["sh", "-c", f". {file}; prefect work-pool ls"]
        assert subprocess.run(shell, env=environment, check=False).returncode == 0
        assert httpx.post(f"{url}/flows/filter", json={}).status_code == 401
        assert sign_in(Home(tmp_path / "made")) not in " ".join(psutil.Process(server.pid).cmdline())
        assert sign_in(Home(tmp_path / "made")) not in (tmp_path / "log").read_text()


class TestWithoutASecret:
    """The receiver and the API serve programs of this machine, and nobody that a proxy or a browser sends."""

    def test_what_a_proxy_or_another_site_sends_is_refused(self, tmp_path: Path) -> None:
        settings = api_settings(tmp_path, api_keys="", hook_secret=SecretStr(""), dead_letters=tmp_path / "dead")
        with running_receiver(settings) as receiver, running_api(settings, reads=False) as api:
            for headers in OF_OTHERS:
                assert receiver.http.post("/hooks/s3", json=messages.s3(), headers=headers).status_code == 403, headers
                assert httpx.get(f"{api.url}/uploads/{'x' * 22}", headers=headers).status_code == 403, headers
            assert receiver.http.post("/hooks/s3", json=messages.s3()).status_code == 202
            assert httpx.get(f"{api.url}/uploads/{'x' * 22}").status_code == 404

    def test_a_page_of_the_same_origin_may_ask(self, tmp_path: Path) -> None:
        with running_api(api_settings(tmp_path, api_keys=""), reads=False) as api:
            for site in ("same-origin", "none"):
                answer = httpx.get(f"{api.url}/uploads/{'x' * 22}", headers={"Sec-Fetch-Site": site})
                assert answer.status_code == 404

    def test_a_proxy_that_speaks_an_old_http_is_refused(self, tmp_path: Path) -> None:
        """nginx, as it proxies by default: our own address as Host, and no header that tells of it."""
        with (
            running_receiver(api_settings(tmp_path, hook_secret=SecretStr(""))) as receiver,
            socket.create_connection(("127.0.0.1", receiver.port)) as line,
        ):
            line.sendall(b"POST /hooks/s3 HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
            assert b" 403 " in line.recv(100)


class TestHostNames:
    """A page that gives its own host name our address (DNS rebinding) gets nothing from any server."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        named = {"site_url": "https://words.example.org", "hosts": "hooks.example.org, Other.Example.org"}
        return api_settings(tmp_path, hook_secret=SecretStr(""), dead_letters=tmp_path / "dead", **named)

    @pytest.fixture
    def servers(self, settings: Settings, tmp_path: Path) -> Iterator[dict[str, str]]:
        with ExitStack() as stack:
            site = stack.enter_context(serving(create_app(settings), settings))
            box = stack.enter_context(serving(inbox.create_app(tmp_path / "mail", "a password"), settings))
            receiver = stack.enter_context(running_receiver(settings, Recorder())).port
            yield {
                "page": f"http://127.0.0.1:{site}/",
                "API": f"http://127.0.0.1:{site}/api/openapi.json",
                "health": f"http://127.0.0.1:{site}/healthz",
                "inbox": f"http://127.0.0.1:{box}/",
                "metrics": f"http://127.0.0.1:{receiver}/metrics",
                "receiver": f"http://127.0.0.1:{receiver}/hooks/s3",
            }

    def test_only_known_names_are_answered(self, servers: dict[str, str]) -> None:
        with httpx.Client() as browser:
            for (name, url), host in product(servers.items(), NAMES):
                assert browser.get(url, headers={"Host": host}).status_code == 421, (name, host)
            for (name, url), host in product(servers.items(), OWN_NAMES):
                assert browser.get(url, headers={"Host": host}).status_code != 421, (name, host)


def test_the_inbox_makes_itself_a_password_that_only_its_owner_can_read(tmp_path: Path) -> None:
    port = free_port()
    own = {"INKTALLY_CACHE": tmp_path / "cache", "INKTALLY_MAIL_FOLDER": tmp_path / "mail"}
    environment = environment_of_servers(**own, PYTHONPATH=PROJECT)
    with process([sys.executable, "-m", "web.inbox", "--port", str(port)], tmp_path / "log", environment) as server:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), server)
        kept = tmp_path / "cache" / "inbox-password"
        assert mode(kept) == 0o600
        assert httpx.get(f"http://127.0.0.1:{port}").status_code == 401
        assert httpx.get(f"http://127.0.0.1:{port}", auth=("x", kept.read_text())).status_code == 200
        log = (tmp_path / "log").read_text()
    assert str(kept) in log
    assert kept.read_text() not in log
    assert os.environ["PREFECT_API_AUTH_STRING"] not in log
