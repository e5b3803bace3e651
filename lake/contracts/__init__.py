"""The contracts of all tables of the lake."""
