"""The tables with a row of every sample: what it is, and what is measured of it."""

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


class Samples(dy.Schema):
    """Every image of a dataset with its split, label and groups."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    split = one_of(SPLITS, "Part of the dataset", use=Use(SAMPLE, shown=6, colors=True))
    label = dy.String(
        nullable=True,
        description="Given class; null where the label is withheld.",
        metadata=Use(SAMPLE, shown=1, colors=True).metadata,
    )
    groups = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True)}),
        description="What the class counts as, for example superclass = vehicle.",
    )
    source_name = dy.String(
        description="Position in the official batches (train/17, test/42), or path in the source.",
        metadata=Use(SAMPLE, axis=False).metadata,
    )
    sha256 = dy.String(
        min_length=64, max_length=64, description="Hash of the pixels; of the name, where there is no image."
    )
    metadata = dy.List(
        dy.Struct({"name": dy.String(), "value": dy.String(nullable=True), "number": dy.Float64(nullable=True)}),
        nullable=True,
        description="Columns of the source that are carried along, in the order of `runs.metadata`.",
    )


class Images(dy.Schema):
    """The encoded image of every sample."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    png = dy.Binary(description="The image as PNG.")
    width = dy.Int64(min=1, description="Pixels.")
    height = dy.Int64(min=1, description="Pixels.")
    original = dy.Binary(
        nullable=True,
        description="The whole picture as it came, PNG or JPEG; null where that is the image itself or none was kept.",
    )
    original_width = dy.Int64(
        nullable=True,
        min=1,
        description="Pixels of the image in the source; null where `original` is.",
    )
    original_height = dy.Int64(nullable=True, min=1, description="The same.")


OF_IMAGES = Use(IMAGE, colors=True, sizes=True)


class Properties(dy.Schema):
    """Measured image properties in CIELAB (sRGB, D65); background = border ring, object = centre: a proxy."""

    dataset_id = dataset_id_column()
    sample_id = sample_id_column()
    bg_lightness = float_column("Median L* of the border ring, 0 black to 100 white.", use=OF_IMAGES, min=0, max=101)
    bg_plainness = float_column("Standard deviation of L* in the ring; 0 is one flat tone.", use=OF_IMAGES, min=0)
    bg_chroma = float_column("Mean chroma of the ring; 0 is grey.", use=OF_IMAGES, min=0)
    object_lightness = float_column("Median L* of the centre.", use=OF_IMAGES, min=0, max=101)
    shade = float_column("Lightness of the centre minus that of the ring; negative is a darker object.", use=OF_IMAGES)
    object_chroma = float_column("Mean chroma of the centre; 0 is grey.", use=OF_IMAGES, min=0)
    object_hue = float_column(
        "Hue of the centre in degrees; null where its chroma is below 10.", use=OF_IMAGES, nullable=True, min=0, max=360
    )
    contrast = float_column("Standard deviation of L* over the image.", use=OF_IMAGES, min=0)
    sharpness = float_column("Variance of the Laplacian of L*; low is blurred.", use=OF_IMAGES, min=0)
    edge_density = float_column("Share of pixels with a strong lightness gradient.", use=OF_IMAGES, min=0, max=1)


class Predictions(dy.Schema):
    """What the classifier says of each scored sample, after temperature scaling."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    predicted = dy.String(description="Most probable class.", metadata=Use(MODEL, shown=2, colors=True).metadata)
    confidence = float_column(
        "Probability of the predicted class.",
        min=0,
        max=1.0001,
        use=Use(MODEL, shown=5, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    probabilities = dy.List(dy.Float32(), description="Calibrated probability of each class of `runs.classes`.")
    logits = dy.List(dy.Float32(), description="Raw outputs of the classifier, before temperature scaling.")
    loss = float_column(
        "Cross-entropy of the given label in nats; 0 is certain and right; null if unlabeled.",
        nullable=True,
        min=0,
        use=Use(MODEL, shown=4, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 8.0)),
    )
    raw_loss = float_column("The same before temperature scaling.", nullable=True, min=0)
    expected_loss = float_column(
        "Entropy of the probabilities in nats: the loss to expect without a label.",
        min=0,
        use=Use(MODEL, colors=True, sizes=True, unit="nats", logarithmic=True, dots=(0.0, 2.3)),
    )
    entropy = float_column(
        "The same as a share of the largest there can be among the classes: 0 is sure, 1 any class alike; null for a "
        "run from before it was measured.",
        nullable=True,
        min=0,
        max=1.0001,
        use=Use(MODEL, colors=True, sizes=True, dots=(0.0, 1.0)),
    )
    margin = float_column(
        "Probability of the first class minus that of the second.",
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
        description="False where the scoring model was trained on the sample.",
        metadata=Use(MODEL, shown=7, axis=False).metadata,
    )
    fold = dy.Int64(
        nullable=True, min=1, description="Model that scored a training sample it never saw; null for the main model."
    )
    temperature = float_column("What the logits are divided by before the softmax.", min=0)


class Embeddings(dy.Schema):
    """The features before the classifier."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    embedding = dy.List(dy.Float32(), description="Features of timm's forward_head(pre_logits=True).")


PLACE = Use(LATENT, axis=False)


class Projection(dy.Schema):
    """Where each sample lies on the 2-D map."""

    run_id = run_id_column()
    sample_id = sample_id_column()
    x = float_column("First UMAP coordinate; no unit.", use=PLACE)
    y = float_column("Second UMAP coordinate; no unit.", use=PLACE)
    neighbors_kept = float_column(
        "Share of the 15 nearest in latent space that are among the 15 nearest on the map.",
        min=0,
        max=1,
        use=Use(LATENT, colors=True, sizes=True),
    )
    pca_x = float_column("First principal component of the embeddings at unit length.", nullable=True, use=PLACE)
    pca_y = float_column("Second principal component.", nullable=True, use=PLACE)
