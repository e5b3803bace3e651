"""The batch pipeline: images in, a published run in the lake out."""
