"""What pages say: numbers in words, and sentences."""
