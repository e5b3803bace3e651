"""Settings of access and login, shared by pages and routes so that both make the same decision.

A login that is configured but cannot work is an error; it never grants access.
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
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Access(BaseSettings):
    """Who may read and write; each field is read from `LATENTLAKE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="LATENTLAKE_", frozen=True, env_ignore_empty=True)

    allowed_users: CommaSeparated = Field(
        (), description="E-mail addresses or @domains that may log in; anyone if empty."
    )
    allowed_hosts: CommaSeparated = Field((), description="Host names that the app answers to.")
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
        if invalid := [part for part in value if part.count("@") != 1 or part.endswith("@")]:
            raise ValueError(f"{invalid[0]} is neither an e-mail nor an @domain")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _name_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if invalid := [part for part in value if "*" in part.removeprefix("*.") and part != "*"]:
            raise ValueError(f"{invalid[0]} is neither a host name nor *.domain")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _has_length(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_SECRET:
            raise ValueError(f"at least {MIN_SECRET} characters are needed")
        return value


@dataclass(frozen=True)
class Login:
    """The configured login: the names of the providers, and the origin that the cookies are valid for."""

    providers: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Visitor:
    """A person who is logged in, by e-mail address or else by the name that the provider gives."""

    name: str
    allowed: bool


def access() -> Access:
    """Return the settings of the environment; raises `UsageError` naming an invalid one, without its value."""
    try:
        return Access()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "LATENTLAKE_" + "_".join(str(part) for part in problem["loc"]).upper()
        raise UsageError(f"{name} cannot be used: {problem['msg'].removeprefix('Value error, ')}.") from None


def login() -> Login | None:
    """Return the login configured in `[auth]` of Streamlit's secrets; None if everybody may read.

    Raises `UsageError` if the configuration is incomplete.
    """
    section = _read_secrets().get("auth")
    if section is None:
        if access().allowed_users:
            raise UsageError("LATENTLAKE_ALLOWED_USERS names who may log in, but the secrets have no [auth] section.")
        return None
    if not isinstance(section, dict):
        raise UsageError("[auth] of the secrets is not a section.")
    secret, origin = section.get("cookie_secret"), get_origin_from_redirect_uri()
    if not isinstance(secret, str) or len(secret) < MIN_SECRET:
        raise UsageError(
            f"The section [auth] of the secrets needs a cookie_secret of at least {MIN_SECRET} characters."
        )
    named_providers = tuple(name for name, value in section.items() if isinstance(value, dict) and "client_id" in value)
    providers = ("default", *named_providers) if "client_id" in section else named_providers
    if not providers or origin is None:
        raise UsageError("The section [auth] of the secrets needs a redirect_uri and the client_id of a provider.")
    return Login(providers, origin)


def find_visitor(claims: dict[str, Any]) -> Visitor | None:
    """Return the person that a provider's claims describe, and whether they may read; None if nobody is logged in.

    If a list of users is configured, an address that the provider reports as unverified is not allowed.
    """
    if claims.get("is_logged_in") is not True:
        return None
    email = str(claims.get("email") or "").lower()
    allowed_users = access().allowed_users
    name, _, domain = email.partition("@")
    is_listed = name != "" and (email in allowed_users or f"@{domain}" in allowed_users)
    allowed = not allowed_users or (is_listed and claims.get("email_verified") is not False)
    return Visitor(email or str(claims.get("name") or claims.get("sub") or "somebody without a name"), allowed)


def is_on_loopback() -> bool:
    """Return whether the app listens only on the loopback interface."""
    address = st.get_option("server.address") or ""
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


def list_hosts() -> tuple[str, ...]:
    """Return the host names that the app answers to: the configured ones, else those of loopback or `*`."""
    return access().allowed_hosts or (LOOPBACK_HOSTS if is_on_loopback() else ("*",))


def _read_secrets() -> dict[str, Any]:
    """Return Streamlit's secrets, empty if there is no secrets file; raises `UsageError` if a file cannot be read.

    Streamlit itself treats an invalid file as a missing one, which would disable the login.
    """
    try:
        return st.secrets.to_dict()
    except (OSError, UnicodeDecodeError) as error:
        if getattr(error, "error_id", None) == "no-secrets-found":
            return {}
        raise UsageError("Streamlit's secrets cannot be read: fix secrets.toml, then restart the app.") from error
