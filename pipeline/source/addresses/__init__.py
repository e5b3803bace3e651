"""Images and whole sources by their address."""
