"""The population map: what it shows, its state, its lasso."""
