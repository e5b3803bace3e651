"""What differs between two runs, and between two sets of samples."""
