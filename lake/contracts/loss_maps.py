"""The tables of loss maps: the maps, what groups and families of them show, their model, what proves them.

And the search index, bytes as the model is.
"""

import dataframely as dy

from lake.contracts.columns import WRONG, Use, float_column, one_of, run_id_column, sample_id_column

RULES = ["at most", "at least"]


class LossMaps(dy.Schema):
    """Signed maps of what raises and lowers the loss (HiResCAM on the calibrated loss), with a check beside each.

    Of held-out samples, and of training samples that the model contradicts.
    """

    run_id = run_id_column()
    sample_id = sample_id_column()
    layer = dy.String(primary_key=True, description="Block whose output is explained, by its name in the model.")
    target = dy.String(primary_key=True, description="Class whose loss is explained: the label, the prediction.")
    height = dy.Int64(min=1, description="Cells.")
    width = dy.Int64(min=1, description="Cells.")
    values = dy.List(dy.Float32(), description="Row by row in nats: above 0 raises the loss, below 0 lowers it.")
    max_abs = float_column("Largest absolute value of the map.", min=0)
    loss = float_column("Loss of the target in nats, as it was scored.", nullable=True, min=0)
    loss_without_red = float_column(
        "The same with the quarter of the cells that raise it most blurred; null where nothing is to be explained.",
        nullable=True,
        min=0,
    )
    loss_without_blue = float_column("With the quarter blurred that lowers it most.", nullable=True, min=0)
    loss_without_other = float_column(
        "With the red quarter's shape blurred elsewhere: what blurring does by itself.", nullable=True, min=0
    )


class MapFamilies(dy.Schema):
    """Maps that look alike: the family of each labelled held-out sample whose map has something to explain."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    family = dy.Int64(
        min=0,
        description="Number of the family, the one with the largest share of errors first.",
        metadata=Use(WRONG, name="map_family").metadata,
    )
    similarity = float_column("Cosine of its map with the family's mean.", min=-1.001, max=1.001)


class PooledMaps(dy.Schema):
    """The maps of a class, cluster, confusion or finding as one: their mean, and where what raises the loss lies."""

    run_id = run_id_column()
    filter_ = dy.String(alias="filter", primary_key=True, description="The filter that reproduces the group.")
    layer = dy.String(primary_key=True, description="Block whose output is explained, by its name in the model.")
    name = dy.String(description="The group in words.")
    n = dy.Int64(min=2, description="Maps of its given labels.")
    height = dy.Int64(min=1, description="Cells.")
    width = dy.Int64(min=1, description="Cells.")
    values = dy.List(dy.Float32(), description="The mean map, row by row in nats.")
    border_area = float_column("Share of the cells that are outermost.", min=0, max=1)
    border_share = float_column("Share of what raises the loss that lies on them.", min=0, max=1.0001)
    border_low = float_column("Lower end of its 95 % interval.")
    border_high = float_column("Upper end of it.")
    others = dy.String(description="The samples it is compared with, those of the group left out.")
    others_filter = dy.String(description="The filter that reproduces them, the group included.")
    others_n = dy.Int64(min=2, description="Their maps.")
    others_share = float_column("Their share.", min=0, max=1.0001)
    others_low = float_column("Lower end of its 95 % interval.")
    others_high = float_column("Upper end of it.")
    adjusted_p = float_column(
        "Two-sided p that both shares are equal, after Benjamini-Hochberg over the table.", min=0, max=1
    )


class Models(dy.Schema):
    """The classifier that scored the samples, so that a run can be checked and explained wherever its lake is."""

    run_id = run_id_column()
    fold = dy.Int64(primary_key=True, min=0, description="0 for the main model, else the fold it never saw.")
    resolution = dy.Int64(min=8, description="Side in pixels of the images it is shown.")
    temperature = float_column("What its logits are divided by before the softmax.", min=0)
    weights = dy.Binary(description="Weights as safetensors, with what they were trained on as metadata.")


class SearchIndex(dy.Schema):
    """A faiss index that proposes samples to compare exactly; no rows where all are compared."""

    run_id = run_id_column()
    part = dy.Int64(primary_key=True, min=0, description="Order of the parts.")
    data = dy.Binary(description="At most 64 MiB of the serialised index.")


class Proofs(dy.Schema):
    """What was measured of a method by an independent way, and the bar it is held to."""

    run_id = run_id_column()
    subject = dy.String(primary_key=True, description="What is proven, for example loss maps.")
    proof = dy.String(primary_key=True, description="Short name of the measurement.")
    claim = dy.String(description="What is measured, in words.")
    n = dy.Int64(min=0, description="Samples, pairs or maps it was measured on.")
    value = float_column("The figure; null where too few could be measured.", nullable=True)
    low = float_column("Lower end of its 95 % interval, where it is an estimate.", nullable=True)
    high = float_column("Upper end of it.", nullable=True)
    rule = one_of(RULES, "How the figure compares with the bar where the claim holds")
    bar = float_column("The bar.")
    holds = dy.Bool(nullable=True, description="Whether it holds; null where too few could be measured.")
