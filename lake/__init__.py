"""The lake: contracts, publish protocol and the questions pages ask. Imports neither torch nor streamlit."""
