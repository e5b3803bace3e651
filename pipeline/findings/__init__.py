"""Tests over groups of samples, and the statements they allow."""
