"""What the app uses of Streamlit and altair beyond their documentation."""
