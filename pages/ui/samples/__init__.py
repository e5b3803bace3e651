"""Samples as images: galleries, one sample, sets under a name, exports."""
