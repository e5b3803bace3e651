"""Loading of images, labels and external predictions into the dataset that every stage works on."""
