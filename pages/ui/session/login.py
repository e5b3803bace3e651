"""The login on the page: logging in, refused access, the name of the user, and logging out."""

import streamlit as st

from pages.text.formatting import plain
from pages.ui.session.access import Visitor, access, find_visitor, login

LONGEST_NAME = 80


def admit() -> bool:
    """Return whether this session may read; if not, show why, with buttons to log in or out."""
    settings = login()
    if settings is None:
        return True
    visitor = find_visitor(st.user.to_dict())
    if visitor is None:
        _offer_login(settings.providers)
    elif not visitor.allowed:
        _turn_away(visitor)
    return visitor is not None and visitor.allowed


def show_visitor() -> None:
    """Show who is logged in, and a button to log out, in the sidebar; nothing without a login."""
    name = visitor_name()
    if name is not None:
        with st.sidebar:
            st.caption(f"Logged in as {plain(name)}")
            st.button("Log out", icon=":material/logout:", key="log-out", on_click=st.logout)


def visitor_name() -> str | None:
    """Return the e-mail address or name of the user; None without a login."""
    visitor = find_visitor(st.user.to_dict()) if login() else None
    return visitor.name if visitor else None


def ask_reviewer(key: str) -> str:
    """Return the name of the reviewer: that of the user who is logged in, else one that is typed in."""
    name = visitor_name()
    if name is None:
        return st.text_input("Your name", key=key, max_chars=LONGEST_NAME, width=300)
    st.caption(f"Signed with {plain(name)}")
    return name


def may_write(what: str) -> bool:
    """Return whether users may add to the lake; if not, show a line that says so."""
    if access().read_only:
        st.caption(f":material/lock: This app is read-only: {what} can be neither added nor taken back.")
    return not access().read_only


def _offer_login(providers: tuple[str, ...]) -> None:
    st.title("Log in")
    st.markdown("These pages are open to people who are logged in.")
    for provider in providers:
        label = "Log in" if provider == "default" else f"Log in with {plain(provider)}"
        st.button(label, icon=":material/login:", key=f"log-in-{provider}", on_click=st.login, args=[provider])
    if st.query_params:
        st.caption("You followed a link: open it again after logging in.")


def _turn_away(visitor: Visitor) -> None:
    st.title("No access")
    st.markdown(
        f"You are logged in as **{plain(visitor.name)}**, who is not on the list of people that may read these pages. "
        "Ask their operator, or log in as somebody else."
    )
    st.button("Log out", icon=":material/logout:", key="log-out", on_click=st.logout)
