"""Engine of a refresh: stage caching and reuse, code hashes, locking, logging and progress."""
