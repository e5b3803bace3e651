"""Review by people: label issues, duplicates, quarantine."""
