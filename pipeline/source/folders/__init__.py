"""A folder of images in any layout: which files are images, and which folders name their classes and splits.

Files are told apart by name alone; only short lists of labels beside the images are opened.
"""

from pipeline.source.folders.annotations import read_pairs
from pipeline.source.folders.reader import list_folder, list_paths, list_tables

__all__ = ["list_folder", "list_paths", "list_tables", "read_pairs"]
