"""What the app uses of Streamlit beyond its documented interface, here and nowhere else.

Any version may move it or change how it is called. `tests/pages/ui/test_streamlit_internals.py` uses each of these as
the app does and names the one that changed; all are known to be so since 1.67.

`altair_settings`: the lock that Streamlit holds while it draws a chart with other settings of altair, which are those
of all threads. Who writes a chart to a file holds it too.

`cookie_content`, with the four names it takes: the content of the login's cookie, read as Streamlit's own websocket
reads it, so that our routes know the same people as the pages do.

`get_origin_from_redirect_uri`: the origin that such a cookie is of.

`is_authlib_installed`, `validate_auth_credentials`, `StreamlitAuthError`: what a login lacks, said at the start of the
server and not to the first reader who presses the button.

`get_logger`: a logger that writes where, and as, the server does.

`get_static_dir`: where the page is that every address of the app answers with.

`serve`: the command `streamlit run`, with a settings file of our own instead of those of the folder and the home.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from streamlit import config
from streamlit.auth_util import (
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    is_authlib_installed,
    validate_auth_credentials,
)
from streamlit.elements.vega_charts import _altair_globals_lock as altair_settings
from streamlit.errors import StreamlitAuthError
from streamlit.file_util import get_static_dir
from streamlit.logger import get_logger
from streamlit.web import cli
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

__all__ = [
    "CHATTER",
    "USER_COOKIE_NAME",
    "StreamlitAuthError",
    "altair_settings",
    "cookie_content",
    "get_logger",
    "get_origin_from_redirect_uri",
    "get_static_dir",
    "is_authlib_installed",
    "serve",
    "validate_auth_credentials",
]
CHATTER = ("streamlit.runtime.caching.cache_data_api", "streamlit.runtime.scriptrunner_utils.script_run_context")
"""Loggers that warn, about nothing, of what is read before the first page is open."""


def cookie_content(cookies: Mapping[str, str]) -> bytes | None:
    """The signed content of the login's cookie among those of a request; None where it is absent, forged or expired."""
    secret = get_cookie_secret()

    def read(name: str) -> bytes | None:
        return decode_signed_value(secret, name, cookies[name].encode("latin-1")) if name in cookies else None

    return get_cookie_with_chunks(read, USER_COOKIE_NAME)


def serve(script: Path, options: list[str], *, settings: Path) -> None:
    """Run the app until the process is told to stop; `options` are flags of `streamlit run`."""
    for name in CHATTER:
        logging.getLogger(name).addFilter(lambda record: record.levelno > logging.WARNING)
    find_files = config.get_config_files
    config.get_config_files = lambda file_name: [str(settings)] if file_name == "config.toml" else find_files(file_name)
    cli.main(["run", str(script), *options], prog_name="streamlit")
