"""The report of a run: one HTML file that is read, forwarded and printed without network, server or script."""
