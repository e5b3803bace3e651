"""Cached data, filters and components shared by all pages."""
