"""The server around the pages: images, health checks, access control and start-up."""
