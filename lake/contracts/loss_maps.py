"""Contracts of loss maps, map families, pooled maps, models, the search index and checks of the methods."""

import dataframely as dy

from lake.contracts.columns import WRONG, Use, float_column, one_of, run_id_column, sample_id_column

RULES = ["at most", "at least"]


class LossMaps(dy.Schema):
    """Signed maps of what raises and lowers the loss (HiResCAM on the calibrated loss), each with a check by occlusion.

    Held-out samples, and training samples whose label the model contradicts.
    """

    run_id = run_id_column()
    sample_id = sample_id_column()
    layer = dy.String(primary_key=True, description="Name of the model block whose output is explained.")
    target = dy.String(primary_key=True, description="Class whose loss is explained: the label or the prediction.")
    height = dy.Int64(min=1, description="Height in cells.")
    width = dy.Int64(min=1, description="Width in cells.")
    values = dy.List(
        dy.Float32(), description="The map row by row, in nats: positive raises the loss, negative lowers it."
    )
    max_abs = float_column("Largest absolute value of the map.", min=0)
    loss = float_column("Loss of the target class in nats, as scored.", nullable=True, min=0)
    loss_without_red = float_column(
        "Loss after blurring the quarter of the cells that raises it most; null if there is nothing to explain.",
        nullable=True,
        min=0,
    )
    loss_without_blue = float_column(
        "Loss after blurring the quarter of the cells that lowers it most.", nullable=True, min=0
    )
    loss_without_other = float_column(
        "Loss after blurring an area of the red quarter's shape elsewhere: the effect of blurring itself.",
        nullable=True,
        min=0,
    )


class MapFamilies(dy.Schema):
    """Families of similar maps: the family of each labelled held-out sample whose map has something to explain."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    family = dy.Int64(
        min=0,
        description="Family number, in descending order of the share of errors.",
        metadata=Use(WRONG, name="map_family").metadata,
    )
    similarity = float_column("Cosine similarity of the map to the mean of its family.", min=-1.001, max=1.001)


class PooledMaps(dy.Schema):
    """Mean map of each class, cluster, confusion or finding, and how much of what raises the loss is on the border."""

    run_id = run_id_column()
    filter_ = dy.String(alias="filter", primary_key=True, description="The filter that reproduces the group.")
    layer = dy.String(primary_key=True, description="Name of the model block whose output is explained.")
    name = dy.String(description="The group in words.")
    n = dy.Int64(min=2, description="Number of maps, each for the given label.")
    height = dy.Int64(min=1, description="Height in cells.")
    width = dy.Int64(min=1, description="Width in cells.")
    values = dy.List(dy.Float32(), description="The mean map, row by row in nats.")
    border_area = float_column("Share of the cells that are on the border (outermost).", min=0, max=1)
    border_share = float_column("Share of what raises the loss that is on the border.", min=0, max=1.0001)
    border_low = float_column("Lower bound of its 95 % interval.")
    border_high = float_column("Upper bound of the interval.")
    others = dy.String(description="The samples it is compared with, without those of the group.")
    others_filter = dy.String(description="The filter that reproduces these samples together with the group.")
    others_n = dy.Int64(min=2, description="Number of their maps.")
    others_share = float_column("Share of what raises their loss that is on the border.", min=0, max=1.0001)
    others_low = float_column("Lower bound of its 95 % interval.")
    others_high = float_column("Upper bound of the interval.")
    adjusted_p = float_column(
        "Two-sided p that both shares are equal, Benjamini-Hochberg adjusted over the table.", min=0, max=1
    )


class Models(dy.Schema):
    """The classifiers that scored the samples, so that a run can be checked and explained from its lake alone."""

    run_id = run_id_column()
    fold = dy.Int64(
        primary_key=True,
        min=0,
        description="0 for the main model; otherwise the fold that the model was not trained on.",
    )
    resolution = dy.Int64(min=8, description="Side length of its input images in pixels.")
    temperature = float_column("Temperature that divides the logits before the softmax.", min=0)
    weights = dy.Binary(description="Weights as safetensors, with the training data described in the metadata.")


class SearchIndex(dy.Schema):
    """A faiss index that proposes candidates for exact comparison; empty if all samples are compared."""

    run_id = run_id_column()
    part = dy.Int64(primary_key=True, min=0, description="Position of the part.")
    data = dy.Binary(description="Part of the serialised index, at most 64 MiB.")


class Proofs(dy.Schema):
    """Independent measurements that check a method, each with the threshold it must meet."""

    run_id = run_id_column()
    subject = dy.String(primary_key=True, description="The method that is checked, for example loss maps.")
    proof = dy.String(primary_key=True, description="Short name of the measurement.")
    claim = dy.String(description="The claim, in words.")
    n = dy.Int64(min=0, description="Number of samples, pairs or maps measured.")
    value = float_column("The measured value; null if too few could be measured.", nullable=True)
    low = float_column("Lower bound of its 95 % interval, if it is an estimate.", nullable=True)
    high = float_column("Upper bound of the interval.", nullable=True)
    rule = one_of(RULES, "How the value must compare with the threshold for the claim to hold")
    bar = float_column("The threshold.")
    holds = dy.Bool(nullable=True, description="Whether the claim holds; null if too few could be measured.")
