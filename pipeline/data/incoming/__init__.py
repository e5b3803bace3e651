"""Images and labels that arrive after a dataset was published: read like a source, with its rules."""
