"""What labels, splits and groups mean: classes and their order, spellings of splits, groups that stay together."""
