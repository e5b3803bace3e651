"""Formatting of numbers and intervals in text."""
