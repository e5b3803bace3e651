"""Runs stages, keeps and reuses what they left, and reports how far they are."""
