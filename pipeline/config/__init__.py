"""How settings are written: in files, variables and flags."""
