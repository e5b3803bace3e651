"""Loss maps on pages, stored and on demand."""
