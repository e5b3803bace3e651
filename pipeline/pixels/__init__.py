"""Image files of any format and depth, decoded to the squares of pixels that the model sees."""
