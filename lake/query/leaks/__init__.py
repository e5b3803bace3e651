"""Values of a column, such as patients, that lie in training and in test."""
