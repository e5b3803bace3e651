"""Rows as files that people download: parquet, CSV for programs, CSV for spreadsheets."""
