"""Tables as delimited text: any delimiter, encoding and decimal mark, and images as columns of pixels."""
