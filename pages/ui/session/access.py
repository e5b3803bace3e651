"""The settings of the app, and how people log in: pages and routes ask here, so that both give the same answer.

A login that is configured and cannot work is an error and never an open door.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any

import streamlit as st
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lake.errors import UsageError
from pages.ui.internals.streamlit_internals import get_origin_from_redirect_uri

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIN_SECRET = 16
Listed = Annotated[tuple[str, ...], NoDecode]


class Access(BaseSettings):
    """Who may read and write; each field is read from `LATENTLAKE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="LATENTLAKE_", frozen=True, env_ignore_empty=True)

    allowed_users: Listed = Field((), description="E-mails or @domains that may log in; everybody who can where empty.")
    allowed_hosts: Listed = Field((), description="Host names that the app answers to.")
    read_only: bool = Field(False, description="Offer and accept no reviews and no saved sets.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token for /metrics and the details of /readyz.")

    @field_validator("allowed_users", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip().lower() for part in value.split(",") if part.strip())

    @field_validator("allowed_users")
    @classmethod
    def _name_people(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [part for part in value if part.count("@") != 1 or part.endswith("@")]:
            raise ValueError(f"{wrong[0]} is neither an e-mail nor an @domain")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _name_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [part for part in value if "*" in part.removeprefix("*.") and part != "*"]:
            raise ValueError(f"{wrong[0]} is neither a host name nor *.domain")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _has_length(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_SECRET:
            raise ValueError(f"at least {MIN_SECRET} characters are needed")
        return value


@dataclass(frozen=True)
class Login:
    """How people log in: the names of the providers, and the address of the app that their cookies are for."""

    providers: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Visitor:
    """Somebody who is logged in: the e-mail, or what else the provider calls them."""

    name: str
    allowed: bool


def access() -> Access:
    """The settings of the environment; raises `UsageError` that names a wrong one, without its value."""
    try:
        return Access()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "LATENTLAKE_" + "_".join(str(part) for part in problem["loc"]).upper()
        raise UsageError(f"{name} cannot be used: {problem['msg'].removeprefix('Value error, ')}.") from None


def login() -> Login | None:
    """How people log in, from `[auth]` of Streamlit's secrets; None where everybody may read.

    Raises `UsageError` where a login is asked for that cannot work.
    """
    section = _read_secrets().get("auth")
    if section is None:
        if access().allowed_users:
            raise UsageError("LATENTLAKE_ALLOWED_USERS names who may log in, but the secrets have no [auth] section.")
        return None
    if not isinstance(section, dict):
        raise UsageError("The section [auth] of the secrets is no section.")
    secret, origin = section.get("cookie_secret"), get_origin_from_redirect_uri()
    if not isinstance(secret, str) or len(secret) < MIN_SECRET:
        raise UsageError(
            f"The section [auth] of the secrets needs a cookie_secret of at least {MIN_SECRET} characters."
        )
    named = tuple(name for name, value in section.items() if isinstance(value, dict) and "client_id" in value)
    providers = ("default", *named) if "client_id" in section else named
    if not providers or origin is None:
        raise UsageError("The section [auth] of the secrets needs a redirect_uri and the client_id of a provider.")
    return Login(providers, origin)


def find_visitor(claims: dict[str, Any]) -> Visitor | None:
    """Who the claims of a provider are about, and whether the list lets them in; None where nobody is logged in.

    An e-mail that the provider says is not verified lets nobody in who must be on a list.
    """
    if claims.get("is_logged_in") is not True:
        return None
    email = str(claims.get("email") or "").lower()
    listed = access().allowed_users
    name, _, domain = email.partition("@")
    known = name != "" and (email in listed or f"@{domain}" in listed)
    allowed = not listed or (known and claims.get("email_verified") is not False)
    return Visitor(email or str(claims.get("name") or claims.get("sub") or "somebody without a name"), allowed)


def is_on_loopback() -> bool:
    """Whether the app listens to this machine only."""
    address = st.get_option("server.address") or ""
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


def list_hosts() -> tuple[str, ...]:
    """Host names that are answered: those of the setting, else loopback's where it listens there only, else all."""
    return access().allowed_hosts or (LOOPBACK_HOSTS if is_on_loopback() else ("*",))


def _read_secrets() -> dict[str, Any]:
    """Streamlit's secrets; none where there is no file of them, and `UsageError` where one cannot be read.

    Streamlit itself takes a file with a typing error for no file, which would open the door.
    """
    try:
        return st.secrets.to_dict()
    except (OSError, UnicodeDecodeError) as error:
        if getattr(error, "error_id", None) == "no-secrets-found":
            return {}
        raise UsageError("Streamlit's secrets cannot be read: mend secrets.toml, then start again.") from error
