"""Who reads, and where: access, login, addresses, the pages there are."""
