"""What the app uses of Streamlit beyond its documented interface is there, and does what the app needs of it."""

import ast
import importlib
import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.ui.server import shell
from tests.support.paths import REPOSITORY

MODULE = "pages/ui/internals/streamlit_internals.py"
SECRET = "only for these tests, 32 letters"
AUTH = {
    "redirect_uri": "http://testserver/oauth2callback",
    "cookie_secret": SECRET,
    "client_id": "a",
    "client_secret": "b",
    "server_metadata_url": "http://127.0.0.1:1/.well-known/openid-configuration",
}
CLAIMS = json.dumps({"email": "ada@example.org", "origin": "http://testserver"}).encode()
SERVE = """
import pathlib, sys
from streamlit import config
from streamlit.web import cli
from pages.ui.internals import streamlit_internals
assert "run" in cli.main.commands, "streamlit has no command run"
cli.main = lambda arguments, prog_name: print(*arguments, config.get_option("server.maxUploadSize"))
streamlit_internals.serve(pathlib.Path("app.py"), ["--server.port=1"], settings=pathlib.Path(sys.argv[1]))
"""
WATCHED = """
import altair as alt
import polars as pl
import streamlit as st
from pages.ui.internals.streamlit_internals import altair_settings

class Watched(alt.Chart):
    def to_dict(self, *arguments, **options):
        st.session_state["held"] = altair_settings.locked()
        return super().to_dict(*arguments, **options)

st.altair_chart(Watched(pl.DataFrame({"x": [1]})).mark_point().encode(x="x:Q"))
st.session_state["held after"] = altair_settings.locked()
"""


def imported() -> list[tuple[str, str]]:
    """The module and the name of everything of Streamlit that the app's module imports."""
    tree = ast.parse((REPOSITORY / MODULE).read_text(encoding="utf-8"))
    parts = [part for part in ast.walk(tree) if isinstance(part, ast.ImportFrom)]
    return [
        (part.module, name.name) for part in parts if part.module for name in part.names if "streamlit" in part.module
    ]


@pytest.fixture
def auth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets have a section [auth]."""
    from streamlit.runtime.secrets import secrets_singleton

    monkeypatch.setattr(secrets_singleton, "_secrets", {"auth": AUTH})


@pytest.mark.parametrize(("module", "name"), imported())
def test_what_is_imported_is_where_it_was(module: str, name: str) -> None:
    try:
        found = importlib.import_module(module)
        there = hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None
    except ImportError:
        there = False
    assert there, f"Streamlit {st.__version__} has no {name} in {module}: fix {MODULE}"


def test_no_other_file_of_the_app_imports_from_inside_streamlit() -> None:
    inside = ("streamlit.auth_util", "streamlit.elements", "streamlit.file_util", "streamlit.runtime", "streamlit.web")
    files = [REPOSITORY / "streamlit_app.py", *(REPOSITORY / "pages").rglob("*.py")]
    others = [file for file in files if file != REPOSITORY / MODULE]
    found = {
        f"{file.relative_to(REPOSITORY)}: {part.module}"
        for file in others
        for part in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(part, ast.ImportFrom) and part.module
        if part.module.startswith((*inside, "streamlit.errors", "streamlit.logger"))
    }
    assert not found, f"these belong into {MODULE}"


def test_streamlit_holds_the_lock_while_it_draws_a_chart() -> None:
    app = AppTest.from_string(WATCHED).run()
    assert not app.exception
    assert app.session_state["held"], "Streamlit no longer holds the lock: charts written meanwhile may be wrong"
    assert not app.session_state["held after"]


@pytest.mark.usefixtures("auth")
@pytest.mark.parametrize("parts", [1, 3])
def test_the_cookie_of_a_login_is_read_whole_or_in_parts(parts: int) -> None:
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

    from pages.ui.internals.streamlit_internals import USER_COOKIE_NAME, cookie_content

    length = -(-len(CLAIMS) // parts)
    pieces = [CLAIMS[start : start + length] for start in range(0, len(CLAIMS), length)]
    names = [f"{USER_COOKIE_NAME}_{number}" for number in range(1, parts + 1)]
    values = (
        {USER_COOKIE_NAME: CLAIMS}
        if parts == 1
        else {
            USER_COOKIE_NAME: f"chunks-{parts}".encode(),
            **dict(zip(names, pieces, strict=True)),
        }
    )
    cookies = {name: create_signed_value(SECRET, name, value).decode() for name, value in values.items()}
    assert cookie_content(cookies) == CLAIMS


@pytest.mark.usefixtures("auth")
def test_a_cookie_that_somebody_else_signed_has_no_content() -> None:
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

    from pages.ui.internals.streamlit_internals import USER_COOKIE_NAME, cookie_content

    forged = create_signed_value("guessed, and not the right secret", USER_COOKIE_NAME, CLAIMS)
    assert cookie_content({USER_COOKIE_NAME: forged.decode()}) is None
    assert cookie_content({}) is None


@pytest.mark.usefixtures("auth")
def test_a_login_is_checked_before_the_first_reader_comes() -> None:
    from pages.ui.internals.streamlit_internals import (
        StreamlitAuthError,
        get_origin_from_redirect_uri,
        is_authlib_installed,
        validate_auth_credentials,
    )

    assert get_origin_from_redirect_uri() == "http://testserver"
    assert is_authlib_installed() is (importlib.util.find_spec("authlib") is not None)
    validate_auth_credentials("default")
    with pytest.raises(StreamlitAuthError, match="unknown"):
        validate_auth_credentials("unknown")


def test_the_log_of_the_server_takes_an_error() -> None:
    from pages.ui.internals.streamlit_internals import get_logger

    logger = get_logger("latentlake")
    assert isinstance(logger, logging.Logger)
    assert logger.handlers, "it would write nowhere"


def test_the_page_of_streamlit_can_be_told_where_the_app_is() -> None:
    from pages.ui.internals.streamlit_internals import get_static_dir

    page = (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")
    assert shell.MODULE_TAG in page, (
        "the script that the app's own goes before has changed: fix pages/ui/server/shell.py"
    )


def test_loggers_that_chatter_are_those_of_modules() -> None:
    from pages.ui.internals.streamlit_internals import CHATTER

    for name in CHATTER:
        assert importlib.util.find_spec(name), f"Streamlit {st.__version__} has no {name}: fix {MODULE}"


def test_the_server_reads_the_settings_of_the_app_and_no_others(tmp_path: Path) -> None:
    settings, others = tmp_path / "ours.toml", tmp_path / ".streamlit" / "config.toml"
    others.parent.mkdir()
    settings.write_text("[server]\nmaxUploadSize = 7\n")
    others.write_text("[server]\nmaxUploadSize = 9\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{SERVE}", str(settings)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "run app.py --server.port=1 7\n", done.stderr
