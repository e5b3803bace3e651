"""Which image regions raise or lower the loss."""
