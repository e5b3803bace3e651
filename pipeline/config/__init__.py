"""Settings in files, environment variables and flags: parsing, errors and cache folders."""
