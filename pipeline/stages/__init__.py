"""The stages of a refresh: how each is computed, and what it reuses from the previous run."""
