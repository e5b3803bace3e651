"""Galleries, the panel of one sample, saved sets and exports."""
