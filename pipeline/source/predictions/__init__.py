"""Predictions and embeddings of another model, as people have them."""
