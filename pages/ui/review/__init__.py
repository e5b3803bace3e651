"""What people look at again: label issues, duplicates, quarantine."""
