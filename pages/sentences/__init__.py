"""What the pages and the report say: frames in, Markdown out; nothing here knows streamlit."""
