"""The questions pages ask of one run: a run or a lazy frame in, a lazy frame out."""
