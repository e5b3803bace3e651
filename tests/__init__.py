"""Tests: names are sentences, data is tiny, values can be checked by hand."""
