"""Contracts of the tables with one row per sample: data and measurements."""

import dataframely as dy

from lake.contracts.columns import (
    IMAGE,
    LATENT,
    MODEL,
    SAMPLE,
    Use,
    dataset_id_column,
    float_column,
    one_of,
    run_id_column,
    sample_id_column,
)

SPLITS = ["train", "validation", "test", "unlabeled"]
NO_CLASS = "(no class)"
"""The only class of a run without a model, whose images are of fewer than two classes: all samples are predicted as it,
so that tables have their usual columns."""
OF_CLASSES = ("predicted", "confidence", "expected_loss", "entropy", "margin", "temperature", "triage")
"""Columns of samples that mean nothing in such a run."""


class Samples(dy.Schema):
    """Every sample of a dataset with its split, label and groups."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    split = one_of(SPLITS, "Split of the dataset", use=Use(SAMPLE, shown=6, colors=True))
    label = dy.String(
        nullable=True,
        description="The given label; null if it is withheld.",
        metadata=Use(SAMPLE, shown=1, colors=True).metadata,
    )
    groups = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True)}),
        description="Groups of the class, for example superclass = vehicle.",
    )
    source_name = dy.String(
        description="Position in the official batches (train/17, test/42), or path in the source.",
        metadata=Use(SAMPLE, axis=False).metadata,
    )
    sha256 = dy.String(
        min_length=64, max_length=64, description="Hash of the pixels, or of the name if there is no image."
    )
    metadata = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True), "number": dy.Float64(nullable=True)}),
        nullable=True,
        description=(
            "Metadata columns of the source, in the order of `runs.metadata`: text is in `value`, a number in "
            "`number`; an integer has all its digits in `value`, and in `number` the closest number with 53 bits."
        ),
    )


class Images(dy.Schema):
    """The encoded image of every sample."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    png = dy.Binary(description="The image as PNG.")
    width = dy.Int64(min=1, description="Width of the image in pixels.")
    height = dy.Int64(min=1, description="Height of the image in pixels.")
    original = dy.Binary(
        nullable=True,
        description="The original picture, PNG or JPEG; null if it equals the image or was not kept.",
    )
    original_width = dy.Int64(
        nullable=True,
        min=1,
        description="Width of the picture in the source in pixels; null if `original` is null.",
    )
    original_height = dy.Int64(
        nullable=True, min=1, description="Height of the picture in the source in pixels; null if `original` is null."
    )


OF_IMAGES = Use(IMAGE, colors=True, sizes=True)


class Properties(dy.Schema):
    """Measured image properties in CIELAB (sRGB, D65); border ring and centre stand in for background and object."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    bg_lightness = float_column(
        "Median L* of the border ring, from 0 (black) to 100 (white).", use=OF_IMAGES, min=0, max=101
    )
    bg_plainness = float_column("Spread of the colours of the ring in Lab; 0 is a uniform tone.", use=OF_IMAGES, min=0)
    bg_chroma = float_column("Mean chroma of the ring; 0 is grey.", use=OF_IMAGES, min=0)
    object_lightness = float_column("Median L* of the centre.", use=OF_IMAGES, min=0, max=101)
    shade = float_column("Lightness of the centre minus that of the ring; negative for a darker object.", use=OF_IMAGES)
    object_chroma = float_column("Mean chroma of the centre; 0 is grey.", use=OF_IMAGES, min=0)
    object_hue = float_column(
        "Hue of the centre in degrees; null if its chroma is below 10.", use=OF_IMAGES, nullable=True, min=0, max=360
    )
    contrast = float_column(
        "Spread of the colours of the image in Lab: root mean square distance from their mean.", use=OF_IMAGES, min=0
    )
    sharpness = float_column("Variance of the Laplacian in Lab; low is blurred.", use=OF_IMAGES, min=0)
    edge_density = float_column("Share of pixels with a strong gradient of colour.", use=OF_IMAGES, min=0, max=1)


class Predictions(dy.Schema):
    """Predictions of the classifier for each scored sample, after temperature scaling."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    predicted = dy.String(description="Most probable class.", metadata=Use(MODEL, shown=2, colors=True).metadata)
    confidence = float_column(
        "Probability of the predicted class.",
        min=0,
        max=1.0001,
        use=Use(MODEL, shown=5, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    probabilities = dy.List(dy.Float32(), description="Calibrated probabilities, in the order of `runs.classes`.")
    logits = dy.List(dy.Float32(), description="Logits of the classifier, before temperature scaling.")
    loss = float_column(
        "Cross-entropy of the given label in nats; 0 is certain and correct; null if unlabeled.",
        nullable=True,
        min=0,
        use=Use(MODEL, shown=4, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 8.0)),
    )
    raw_loss = float_column("Loss before temperature scaling.", nullable=True, min=0)
    expected_loss = float_column(
        "Entropy of the probabilities in nats: the loss to expect if the label is unknown.",
        min=0,
        use=Use(MODEL, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 2.3)),
    )
    entropy = float_column(
        "Entropy as a share of its maximum for the number of classes: 0 is certain, 1 uniform; null for runs older "
        "than this column.",
        nullable=True,
        min=0,
        max=1.0001,
        use=Use(MODEL, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    margin = float_column(
        "Probability of the most probable class minus that of the second.",
        min=0,
        max=1.0001,
        use=Use(MODEL, colors=True, sizes=True),
    )
    correct = dy.Bool(
        nullable=True,
        description="Whether the prediction equals the label; null if unlabeled.",
        metadata=Use(MODEL, shown=3, colors=True).metadata,
    )
    out_of_sample = dy.Bool(
        description="False if the scoring model was trained on the sample.",
        metadata=Use(MODEL, shown=7, axis=False).metadata,
    )
    fold = dy.Int64(
        nullable=True,
        min=1,
        description="Fold whose model scored this training sample without training on it; null for the main model.",
    )
    temperature = float_column("Temperature that divides the logits before the softmax.", min=0)


class Embeddings(dy.Schema):
    """Embeddings: the features before the classifier head."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    embedding = dy.List(dy.Float32(), description="Output of timm's forward_head(pre_logits=True).")


PLACE = Use(LATENT, axis=False)


class Projection(dy.Schema):
    """Position of each sample on the 2-D map."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    x = float_column("First UMAP coordinate; unitless.", use=PLACE)
    y = float_column("Second UMAP coordinate; unitless.", use=PLACE)
    neighbors_kept = float_column(
        "Share of the 15 nearest neighbours in latent space that are also among the 15 nearest on the map.",
        min=0,
        max=1,
        use=Use(LATENT, colors=True, sizes=True),
    )
    pca_x = float_column("First principal component of the unit-length embeddings.", nullable=True, use=PLACE)
    pca_y = float_column("Second principal component of the unit-length embeddings.", nullable=True, use=PLACE)
