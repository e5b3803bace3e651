"""Loss maps: which image regions raise or lower the loss."""
