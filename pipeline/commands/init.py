"""Settings file written by `latentlake init`: the most common settings, each with its meaning."""

from pathlib import Path

from lake.storage.places import SETTINGS
from pipeline.data.listing import check_free, check_place, write_file

DEFAULT = SETTINGS
TEMPLATE = """\
# Settings of every command that runs in this folder: `latentlake refresh`, then `latentlake serve`. From another
# folder, or under another name, name this file: `latentlake refresh --config FILE`. Relative paths count from where the
# command runs, ~ is the home folder. Lines that begin with # are off; flags and LATENTLAKE_... override this file, and
# `latentlake config` prints every value and where it came from.

preset = "quick"            # smoke (2,000 images, for a try), quick, standard (nightly) or full
lake = "data/lake"          # where the pages read from: a folder, or an object-store URL such as s3://bucket/lake
work_dir = "data/work"      # finished stages, for resuming
# seed = 0
# minutes = 30              # train the schedule that takes so long on this machine

# Without the section [dataset] the data are CIFAR-10. With it they are yours.
# [dataset]
# source = "photos"         # a folder with a sub-folder for every class; above them, perhaps, train, validation, test
#                           # and unlabeled; images in no folder of a class have no label. Or a table: .csv, .parquet or
#                           # Delta.
# name = "My photos"        # the dataset is known by it, wherever it lies
# size = 32                 # side in pixels of the square that every image becomes; twice as large trains 4 x as long
# display_side = 512        # longer side of the whole picture that is kept for people, at most; 0 keeps none

# Of a table:
# image_column = "image"    # encoded bytes, or paths beside the file
# label_column = "label"    # empty is unlabeled
# split_column = "split"    # train, validation, test or unlabeled; may be missing
# name_column = "name"      # unique; may be missing
# metadata = ["camera"]     # more columns, to filter, colour and compare by

# Where no images are named test or validation, these shares of the labelled ones are held out, each class in its share:
# test_share = 0.2
# validation_share = 0.1

# Classes may count as something: a grouping, its values, and the labels of each. A label that none has counts as other.
# [dataset.groups.superclass]
# animal = ["cat", "dog"]
# vehicle = ["ship", "truck"]

# Predictions of a model that runs elsewhere, as columns of the same table: nothing is trained, images may be missing.
# A row that names no split is a test sample; say train of those that the model learnt from.
# [dataset.predictions]
# column = "probabilities"  # lists with a number for every class
# logits = false            # true: the softmax of the numbers are the probabilities
# classes = ["cat", "dog", "ship", "truck"]  # in the order of the numbers; without it the labels, sorted
# embedding_column = "embedding"             # lists of features, for map, groups and neighbours; may be missing
"""


def write_settings(path: Path, *, force: bool) -> None:
    """Write the file. Raises `UserError` if it exists and `force` is not given, or if it cannot be written."""
    check_place(path)
    check_free(path, force=force)
    write_file(path, TEMPLATE.encode())
