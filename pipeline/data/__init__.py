"""Images, labels and predictions in: the dataset that every stage works on."""
