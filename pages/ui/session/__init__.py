"""Access, login, addresses and navigation."""
