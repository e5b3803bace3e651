"""The pages of the app, one script each; `pages.ui` is their shared code. Imports no torch."""
