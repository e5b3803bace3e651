"""The graph of stages: what each is computed from, and how it is reused."""
