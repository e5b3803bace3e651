"""What changed between two runs, part by part."""
