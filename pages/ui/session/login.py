"""What people see of the login: the page before it, the one for those who may not read, their name and the way out."""

import streamlit as st

from pages.text.words import plain
from pages.ui.session.access import Visitor, access, find_visitor, login

LONGEST_NAME = 80


def admit() -> bool:
    """Whether this session may read; where not, the page says why and offers what can be done."""
    found = login()
    if found is None:
        return True
    visitor = find_visitor(st.user.to_dict())
    if visitor is None:
        _offer_login(found.providers)
    elif not visitor.allowed:
        _turn_away(visitor)
    return visitor is not None and visitor.allowed


def show_visitor() -> None:
    """Who is logged in, and the button to log out, in the sidebar; nothing where there is no login."""
    name = visitor_name()
    if name is not None:
        with st.sidebar:
            st.caption(f"Logged in as {plain(name)}")
            st.button("Log out", icon=":material/logout:", key="log-out", on_click=st.logout)


def visitor_name() -> str | None:
    """The e-mail of who is logged in; None where there is no login."""
    visitor = find_visitor(st.user.to_dict()) if login() else None
    return visitor.name if visitor else None


def ask_reviewer(key: str) -> str:
    """Who reviews: the e-mail of who is logged in, else the name that is typed."""
    name = visitor_name()
    if name is None:
        return st.text_input("Your name", key=key, max_chars=LONGEST_NAME, width=300)
    st.caption(f"Signed with {plain(name)}")
    return name


def may_write(what: str) -> bool:
    """Whether people may add to the lake; where not, one line says so in place of the controls."""
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
        st.caption("You came by a link: open it again when you are logged in.")


def _turn_away(visitor: Visitor) -> None:
    st.title("No access")
    st.markdown(
        f"You are logged in as **{plain(visitor.name)}**, who is not on the list of people that may read these pages. "
        "Ask whoever runs them, or log in as somebody else."
    )
    st.button("Log out", icon=":material/logout:", key="log-out", on_click=st.logout)
