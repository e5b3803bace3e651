"""The server around the pages: images, health, who may ask, how it starts."""
