"""Sources of images and predictions: folders, tables and archives as people have them, listed before decoding."""
