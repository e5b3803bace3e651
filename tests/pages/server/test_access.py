"""The settings of the app: who may read, which hosts are answered; a login that cannot work is no open door."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from streamlit.runtime.secrets import secrets_singleton

from lake.errors import UsageError
from pages.text.formatting import WORD_JOINER
from pages.ui.server import guard
from pages.ui.server.hosts import UNNAMED, HostNames
from pages.ui.session.access import access, find_visitor, list_hosts, login
from tests.support.lakes.tiny_lake import RUN_ID
from tests.support.servers.apps import Open, shown
from tests.support.servers.browser import knock, request, serve

WORKING = {
    "redirect_uri": "http://testserver/oauth2callback",
    "cookie_secret": "only for these tests, 32 letters",
    "client_id": "a",
    "client_secret": "b",
    "server_metadata_url": "http://127.0.0.1:1/.well-known/openid-configuration",
}
Configure = Callable[[object], None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """`configure(section)` is the section [auth] of the secrets for the test."""

    def put(section: object) -> None:
        monkeypatch.setattr(secrets_singleton, "_secrets", {"auth": section})

    return put


@pytest.fixture
def secrets_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only file that Streamlit's secrets are read from; it does not exist yet."""
    before = st.get_option("secrets.files")
    file = tmp_path / "secrets.toml"
    st.config.set_option("secrets.files", [str(file)])
    monkeypatch.setattr(secrets_singleton, "_secrets", None)
    yield file
    st.config.set_option("secrets.files", before)


# --- who may read


@pytest.mark.parametrize(
    ("listed", "email", "verified", "allowed"),
    [
        ("", "eve@example.com", None, True),
        ("ada@example.org", "ada@example.org", None, True),
        ("ada@example.org", "Ada@Example.ORG", True, True),
        (" bob@example.org , @example.net ", "carol@example.net", None, True),
        ("@example.org", "ada@example.org", False, False),
        ("@example.org", "ada@sub.example.org", True, False),
        ("@example.org", "ada@example.org.example.com", True, False),
        ("@example.org", "example.org", True, False),
        ("@example.org", "@example.org", True, False),
        ("@example.org", "eve@example.com@example.org", True, False),
        ("@example.org", None, True, False),
        ("ada@example.org", "da@example.org", True, False),
    ],
)
def test_the_list_lets_in_whom_it_names(
    listed: str, email: str | None, verified: bool | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_ALLOWED_USERS", listed)
    visitor = find_visitor({"is_logged_in": True, "email": email, "email_verified": verified, "sub": "7"})
    assert visitor is not None
    assert visitor.allowed is allowed
    assert visitor.name == ("7" if email is None else email.lower())


@pytest.mark.parametrize("claims", [{}, {"email": "ada@example.org"}, {"is_logged_in": "true"}, {"is_logged_in": 1}])
def test_claims_without_a_login_are_nobody(claims: dict[str, Any]) -> None:
    assert find_visitor(claims) is None


def test_a_page_shows_nothing_of_the_lake_until_somebody_is_logged_in(
    tiny_lake: str, open_page: Open, configure: Configure
) -> None:
    configure(WORKING)
    app = open_page(tiny_lake, run=RUN_ID)
    assert [title.value for title in app.title] == ["Log in"]
    assert [button.label for button in app.button] == ["Log in"]
    assert "You followed a link" in shown(app)
    assert not app.sidebar.selectbox and RUN_ID not in shown(app)
    app.user = {"is_logged_in": True, "email": "ada@example.org"}
    app.run()
    assert [title.value for title in app.title] == ["Overview"]
    assert f"Logged in as ada{WORD_JOINER}@example.org" in app.sidebar.caption[0].value


def test_who_is_logged_in_can_log_out_whatever_the_lake_is(
    empty_lake: str, open_page: Open, configure: Configure
) -> None:
    configure(WORKING)
    app = open_page(empty_lake)
    app.user = {"is_logged_in": True, "email": "ada@example.org"}
    app.run()
    assert [title.value for title in app.title] == ["No run yet"]
    assert [button.label for button in app.sidebar.button] == ["Log out"]


def test_each_provider_has_a_button_of_its_own(tiny_lake: str, open_page: Open, configure: Configure) -> None:
    general = {name: WORKING[name] for name in ("redirect_uri", "cookie_secret")}
    provider = {name: WORKING[name] for name in ("client_id", "client_secret", "server_metadata_url")}
    configure(general | {"okta": provider, "entra": provider})
    app = open_page(tiny_lake)
    assert [button.label for button in app.button] == ["Log in with okta", "Log in with entra"]


# --- a login that cannot work


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({}, "needs a cookie_secret of at least 16 characters"),
        (WORKING | {"cookie_secret": ""}, "needs a cookie_secret of at least 16 characters"),
        (WORKING | {"cookie_secret": "short"}, "needs a cookie_secret of at least 16 characters"),
        ({"cookie_secret": WORKING["cookie_secret"]}, "needs a redirect_uri and the client_id"),
        ("yes", "is not a section"),
    ],
    ids=["empty", "no secret", "short secret", "no provider", "no section"],
)
def test_a_login_that_is_not_complete_is_an_error_and_no_open_door(
    section: object, sentence: str, tiny_lake: str, open_page: Open, configure: Configure
) -> None:
    configure(section)
    with pytest.raises(UsageError, match=sentence):
        login()
    app = open_page(tiny_lake)
    assert sentence in app.error[0].value
    assert not app.title and not app.sidebar.selectbox
    with pytest.raises(SystemExit, match=f"latentlake: .*{sentence}"):
        guard.middleware()


def test_secrets_with_a_typing_error_are_an_error_and_no_open_door(secrets_file: Path) -> None:
    secrets_file.write_text("[auth\nclient_id = 'a'")
    with pytest.raises(UsageError, match=r"fix secrets\.toml"):
        login()


def test_without_secrets_everybody_reads_and_a_list_of_people_alone_is_refused(
    secrets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert login() is None
    monkeypatch.setenv("LATENTLAKE_ALLOWED_USERS", "ada@example.org")
    with pytest.raises(UsageError, match=r"have no \[auth\] section"):
        login()


def test_a_provider_that_lacks_a_key_stops_the_start_with_its_name(configure: Configure) -> None:
    configure({name: value for name, value in WORKING.items() if name != "client_secret"})
    with pytest.raises(SystemExit, match=r"^latentlake: .*missing the following keys: \['client_secret'\]"):
        guard.middleware()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ALLOWED_USERS", "ada", "LATENTLAKE_ALLOWED_USERS cannot be used: ada is neither an e-mail nor an @domain."),
        ("ALLOWED_USERS", "@", "@ is neither"),
        ("ALLOWED_HOSTS", "a.*.org", "a.*.org is neither a host name nor *.domain"),
        ("ALLOWED_HOSTS", "*example.net", "*example.net is neither a host name nor *.domain"),
        ("READ_ONLY", "perhaps", "LATENTLAKE_READ_ONLY cannot be used: "),
        ("METRICS_TOKEN", "short", "LATENTLAKE_METRICS_TOKEN cannot be used: at least 16 characters are needed."),
    ],
)
def test_a_wrong_setting_is_named_and_stops_the_start(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LATENTLAKE_{name}", value)
    with pytest.raises(UsageError) as raised:
        access()
    assert sentence in str(raised.value)
    assert name != "METRICS_TOKEN" or value not in str(raised.value)
    with pytest.raises(SystemExit, match=r"^latentlake: LATENTLAKE_"):
        guard.middleware()


# --- routes


def test_a_route_that_is_added_later_is_behind_the_login_without_being_told(configure: Configure) -> None:
    later = Route("/later", lambda _: PlainTextResponse("rows of the lake"))
    client = TestClient(Starlette(routes=[later], middleware=[Middleware(guard.Guard)]))
    assert client.get("/later").text == "rows of the lake"
    configure(WORKING)
    refused = client.get("/later")
    assert (refused.status_code, refused.headers["Cache-Control"]) == (401, "no-store")
    assert client.get("/healthz").status_code == 404, "nobody serves it here, and the guard lets it through"
    configure(WORKING | {"cookie_secret": ""})
    assert client.get("/later").status_code == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 404) for path in ("/", "//", "/index.html", "/clusters", "/clusters/", "/static/js/a.js")),
        *(
            (path, 401)
            for path in ("/clusters/x", "/media/a.png", "/static", "/_stcore/stream", "/_stcore/upload_file")
        ),
    ],
)
def test_strangers_get_what_draws_the_button_and_nothing_else(configure: Configure, path: str, status: int) -> None:
    configure(WORKING)
    client = TestClient(Starlette(middleware=[Middleware(guard.Guard)]))
    assert client.get(f"http://testserver{path}").status_code == status, (
        "404: nobody serves it here, and it was let through"
    )


def test_every_answer_has_the_security_headers(configure: Configure) -> None:
    configure(WORKING)
    client = TestClient(Starlette(middleware=[Middleware(guard.Guard)]))
    for path in ("/later", "/healthz"):
        answered = client.get(path).headers
        assert {name: answered[name] for name in guard.HEADERS} == guard.HEADERS
    assert client.get("/auth/logout").headers["Clear-Site-Data"] == '"cache"'


# --- hosts


@pytest.mark.parametrize(
    ("address", "setting", "hosts"),
    [
        ("127.0.0.1", "", ("localhost", "127.0.0.1", "[::1]")),
        ("localhost", "", ("localhost", "127.0.0.1", "[::1]")),
        ("::1", "", ("localhost", "127.0.0.1", "[::1]")),
        ("0.0.0.0", "", ("*",)),
        (None, "", ("*",)),
        ("127.0.0.1", "lake.example.org, *.Example.net", ("lake.example.org", "*.example.net")),
    ],
)
def test_hosts_are_those_of_the_setting_else_of_loopback(
    address: str | None, setting: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTLAKE_ALLOWED_HOSTS", setting)
    before = st.get_option("server.address")
    st.config.set_option("server.address", address)
    try:
        assert list_hosts() == hosts
    finally:
        st.config.set_option("server.address", before)


@pytest.mark.browser
def test_only_names_of_this_machine_are_answered_where_the_app_listens_there_only(tiny: str) -> None:
    port = tiny.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", "[::1]"):
        assert request(f"{tiny}/healthz", headers={"Host": host})[0] == 200
        assert "101" in knock(tiny, host)
    for host in (f"rebound.example.org:{port}", "127.0.0.1.example.org", "localhost.example.org", "192.0.2.2", ""):
        assert request(f"{tiny}/healthz", headers={"Host": host})[0] == 400
        assert "400" in knock(tiny, host)


@pytest.mark.browser
def test_the_setting_names_the_hosts_that_are_answered_and_this_machine_may_always_ask_for_itself(
    tiny_lake: str,
) -> None:
    with serve(tiny_lake, LATENTLAKE_ALLOWED_HOSTS="lake.example.org,*.example.net") as address:
        answered = ("lake.example.org", "a.example.net", "127.0.0.1", "localhost", "[::1]:8501")
        for host in answered:
            assert "101" in knock(address, host)
        assert "400" in knock(address, "rebound.example.com")
        for path in ("samples", "healthz", "readyz", "_stcore/health"):
            for host in answered:
                assert request(f"{address}/{path}", headers={"Host": host})[0] == 200
            for more in ({"Host": "rebound.example.com"}, {"Host": "127.0.0.1", "X-Forwarded-For": "192.0.2.2"}):
                assert request(f"{address}/{path}", headers=more)[0] == 400


@pytest.mark.parametrize(
    ("host", "named"), [("Lab.Example.org:8501", "lab.example.org"), ("[2001:DB8::1]", "[2001:db8::1]")]
)
def test_an_unknown_host_is_told_which_setting_takes_its_name(host: str, named: str) -> None:
    answer = ask_as(host)
    assert answer.status_code == 400 and f"LATENTLAKE_ALLOWED_HOSTS={named} " in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "host", ["<script>alert(1)</script>", "a b", "a&b", "", "x" * 300, "a/../b", 'a"b', "ä.example"]
)
def test_nothing_that_is_no_host_name_is_sent_back(host: str) -> None:
    answer = ask_as(host)
    assert answer.status_code == 400 and answer.text == UNNAMED


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.example.net", 200), ("a.b.example.net:8501", 200), ("example.net", 400), ("evilexample.net", 400)],
)
def test_a_star_stands_for_the_names_below_a_domain_and_for_no_other(host: str, status: int) -> None:
    assert ask_as(host, hosts=("*.example.net",)).status_code == status


@pytest.mark.parametrize(
    ("asker", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("::ffff:192.0.2.2", 400), ("nobody", 400)],
)
def test_this_machine_asks_for_itself_by_either_kind_of_address(asker: str, status: int) -> None:
    assert ask_as("localhost", asker=asker).status_code == status


@pytest.mark.parametrize(
    ("origin", "host", "answered"),
    [
        ("https://lake.example.org", "lake.example.org", True),
        ("https://lake.example.org", "127.0.0.1:8501", True),
        ("https://lake.example.org:8443", "lake.example.org:8443", True),
        ("http://127.0.0.1:9000", "127.0.0.1:8501", True),
        ("https://example.org", "lake.example.org", False),
        ("https://lake.example.org.example.com", "lake.example.org", False),
        ("null", "lake.example.org", False),
        ("http://[", "lake.example.org", False),
    ],
)
def test_a_websocket_is_for_pages_of_the_app_under_the_host_they_have(
    origin: str, host: str, answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(HostNames(say_host, hosts=("lake.example.org", "127.0.0.1")))
    connecting = client.websocket_connect("/", headers={"Origin": origin, "Host": host})
    if answered:
        with connecting as websocket:
            assert websocket.receive_text() == origin.partition("//")[2]
        return
    with pytest.raises(WebSocketDenialResponse) as refused, connecting:
        pass
    assert refused.value.status_code == 403 and "LATENTLAKE_ALLOWED_HOSTS" in caplog.text


def ask_as(host: str, *, hosts: tuple[str, ...] = ("lake.example.org",), asker: str = "testclient") -> Any:
    """What a client gets that asks for a host."""
    client = TestClient(HostNames(PlainTextResponse("the lake"), hosts=hosts), client=(asker, 50000))
    return client.get("/", headers={b"Host": host.encode()})


async def say_host(scope: Scope, receive: Receive, send: Send) -> None:
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    await websocket.send_text(websocket.headers["host"])
    await websocket.close()
