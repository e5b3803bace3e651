"""Settings file written by `latentlake init`: the most common settings, each with its meaning."""

from pathlib import Path

from lake.storage.places import SETTINGS
from pipeline.commands.output_file import check_free, check_place, write_file

DEFAULT = SETTINGS
TEMPLATE = """\
# Settings for every command that runs in this folder: `latentlake refresh`, then `latentlake serve`. If the file has
# another name or lies elsewhere, pass it explicitly: `latentlake refresh --config FILE`. Relative paths start at the
# folder in which the command runs; ~ is the home folder. Lines that begin with # have no effect. Flags and
# LATENTLAKE_... override this file, and `latentlake config` prints every value and its origin.

preset = "quick"            # smoke (2,000 images, to try it out), quick, standard (nightly) or full
lake = "data/lake"          # where the results go: a folder, or an object-store URL such as s3://bucket/lake
work_dir = "data/work"      # finished stages, so that an interrupted refresh can resume
# seed = 0
# minutes = 30              # choose a training schedule that takes about this long on this machine

# Without the section [dataset], the data are CIFAR-10. To use your own images, describe them here.
# [dataset]
# source = "photos"         # a folder with one sub-folder per class, optionally grouped under train, validation, test
#                           # and unlabeled; images outside any class folder have no label. Or a table: .csv, .parquet
#                           # or Delta.
# name = "My photos"        # identifies the dataset, wherever it is stored
# size = 32                 # side in pixels of the square each image becomes; doubling it takes 4 x as long to train
# display_side = 512        # maximum length in pixels of the longer side of the picture kept for display; 0 keeps none

# For a table:
# image_column = "image"    # encoded bytes, or paths relative to the file
# label_column = "label"    # empty means unlabeled
# split_column = "split"    # train, validation, test or unlabeled; optional
# name_column = "name"      # unique; optional
# metadata = ["camera"]     # additional columns to filter, colour and compare by

# If no images are assigned to test or validation, these shares of the labelled images are held out, class by class:
# test_share = 0.2
# validation_share = 0.1

# Classes can be grouped: the name of a grouping, then its values with the labels of each. Other labels count as other.
# [dataset.groups.superclass]
# animal = ["cat", "dog"]
# vehicle = ["ship", "truck"]

# Predictions of a model that runs elsewhere, as columns of the same table: nothing is trained, and images are optional.
# Rows without a split are test samples; mark those that the model was trained on as train.
# [dataset.predictions]
# column = "probabilities"  # lists with one number per class
# logits = false            # true: the probabilities are the softmax of these numbers
# classes = ["cat", "dog", "ship", "truck"]  # in the order of the numbers; default: the labels, sorted
# embedding_column = "embedding"             # lists of features for the map, groups and neighbours; optional
"""


def write_settings(path: Path, *, force: bool) -> None:
    """Write the file. Raises `UserError` if it exists and `force` is not given, or if it cannot be written."""
    check_place(path)
    check_free(path, force=force)
    write_file(path, TEMPLATE.encode())
