"""Statistical tests on groups of samples, and the findings derived from them."""
