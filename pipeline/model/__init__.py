"""The classifier: how it is built, trained, stored and loaded."""
