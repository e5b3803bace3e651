"""Checks of the run's own methods, against independent computations and on planted faults."""
