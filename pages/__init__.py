"""The pages of the app, one script each; `pages.ui` is what they share. Imports no torch."""
