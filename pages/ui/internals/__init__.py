"""Undocumented interfaces of Streamlit and altair that the app uses."""
