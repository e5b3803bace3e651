"""Settings file written by `latentlake init`: the most common settings, each with its meaning."""

import shlex
from pathlib import Path

from lake.storage.places import SETTINGS
from pipeline.commands.look import Look
from pipeline.commands.output_file import check_free, check_place, write_file
from pipeline.source.answers import to_toml
from pipeline.source.printable import show
from pipeline.source.understanding.other_columns import find_other_columns

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
# source = "photos"         # a folder whose sub-folders name classes and splits, an archive of one, a table (CSV,
#                           # parquet, Arrow, Delta), WebDataset shards or .npz arrays; also an address: https://...
# name = "My photos"        # identifies the dataset, wherever it is stored
# id = "photos-0123456789"  # continues a dataset of the lake, as after its folder was moved
# size = 32                 # side in pixels of the square each image becomes; doubling it takes 4 x as long to train
# display_side = 512        # maximum length in pixels of the longer side of the picture kept for display; 0 keeps none

# What is not set is found, or asked if it is unclear; `latentlake inspect photos` shows it.
# class_level = 1           # level of folders that names the class, counted from 1 below the source; 0 for none
# labels = { Cat = "cat", unknown = "" }     # class of a label as it is written; "" for an image without a label
# splits = { part1 = "train", part2 = "test" }  # split of the name of a folder or in a column
# max_refused = 0.02        # share of unusable images above which the headline says so

# For a table:
# image_column = "image"    # encoded bytes, or paths relative to the file
# label_column = "label"    # empty means unlabeled
# split_column = "split"    # train, validation, test or unlabeled; "" for none
# name_column = "name"      # unique; "" for none
# group_column = "patient"  # images of one value, such as a patient, stay in one split; "" for none
# allow_outside = false     # true: the table may name files outside its own folder
# metadata = ["camera"]     # additional columns to filter, colour and compare by

# If no images are assigned to test or validation, these shares of the labelled images are held out, class by class:
# test_share = 0.2
# validation_share = 0.1

# Classes can be grouped: the name of a grouping, then its values with the labels of each. Other labels count as other.
# [dataset.groups.superclass]
# animal = ["cat", "dog"]
# vehicle = ["ship", "truck"]

# Predictions of a model that runs elsewhere, in the same table or another one: nothing is trained, images are optional.
# Rows without a split are test samples; mark those that the model was trained on as train.
# [dataset.predictions]
# column = "probabilities"  # lists with one number per class, or the beginning of the names of one column per class
# logits = false            # true: the probabilities are the softmax of these numbers
# normalize = false         # true: the numbers of each row are divided by their sum
# positive = "cat"          # the class whose probability is given, if there is one number per row
# classes = ["cat", "dog", "ship", "truck"]  # in the order of the numbers
# table = "predictions.csv" # the table of the predictions, if it is another one; joined by name
# embedding_column = "embedding"             # lists of features for the map, groups and neighbours; optional
# embedding_table = "features.npy"           # the table of the embeddings, if it is another one
"""


FOUND = """\
# Settings for every command that runs in this folder, found by `latentlake init {source}`: `latentlake refresh`, then
# `latentlake serve`. If the file has another name or lies elsewhere, pass it: `latentlake refresh --config FILE`.
# Relative paths start at the folder in which the command runs. Lines that begin with # have no effect.

preset = "quick"            # smoke (to try it out), quick, standard (nightly) or full
lake = "data/lake"          # where the results go: a folder, or an object-store URL such as s3://bucket/lake
work_dir = "data/work"      # finished stages, so that an interrupted refresh can resume
# minutes = 30              # choose a training schedule that takes about this long on this machine
# new_data = "incoming"     # a folder of images that arrive later, with labels where known
# apply_reviews = true      # apply people's reviews: correct labels, leave samples out

[dataset]
source = {quoted}
"""


def write_settings(path: Path, *, force: bool) -> None:
    """Write the file. Raises `UserError` if it exists and `force` is not given, or if it cannot be written."""
    _write(path, TEMPLATE, force=force)


def write_found(path: Path, found: Look, *, force: bool) -> None:
    """Write the settings that were found for a source; what is unclear stands there as a comment to answer."""
    _write(path, describe(found), force=force)


def describe(found: Look) -> str:
    """The settings that were found for a source, with everything that was understood and is unclear as comments."""
    own, listing = found.own, found.understanding.listing
    source = str(own.source)
    lines = [FOUND.format(source=shlex.quote(show(source)), quoted=to_toml(source)).rstrip("\n")]
    lines += [
        f"# {heading}: {_one_line(text)}" for heading, text in found.lines if heading not in ("source", "unclear")
    ]
    if found.size_reason:
        lines.append(f"size = {own.size}")
    if useful := [column.name for column in find_other_columns(found.understanding) if column.is_useful]:
        lines.append(f"# metadata = {to_toml(useful)}")
    by_section: dict[str, list[str]] = {"dataset": []}
    for doubt in listing.notes.doubts:
        *parents, last = ["dataset", *doubt.setting.split(".")]
        comment = f"# Unclear: {_one_line(doubt.sentence)} Answer by removing the # below, or by another value:"
        by_section.setdefault(".".join(parents), []).extend([comment, f"# {last} = {to_toml(doubt.suggestion)}"])
    lines += by_section.pop("dataset")
    if own.predictions is not None:
        lines += ["", "[dataset.predictions]", *by_section.pop("dataset.predictions", [])]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def check_target(path: Path, *, force: bool) -> None:
    """Raises `UserError` if the file exists and `force` is not given, or if it cannot be written."""
    check_place(path)
    check_free(path, force=force)


def _write(path: Path, text: str, *, force: bool) -> None:
    check_target(path, force=force)
    write_file(path, text.encode())
