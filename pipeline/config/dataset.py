"""Settings sections [dataset] and [dataset.predictions]: own images, and the predictions of another model."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lake.storage.places import to_path
from pipeline.config.written import split

Texts = Annotated[list[str], BeforeValidator(split)]
Place = Annotated[Path, BeforeValidator(to_path)]
DISPLAY_SIDE = 512
"""Longest side of pictures kept for display, in pixels."""


class PredictionSettings(BaseModel):
    """Predictions of another model, as columns of the table that lists the images; nothing is trained."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field("probabilities", description="Column of lists with one number for each class.")
    logits: bool = Field(False, description="Whether the numbers are logits, whose softmax gives the probabilities.")
    classes: Texts = Field(
        default_factory=list, description="Class of each number, in order; empty takes the labels, sorted."
    )
    embedding_column: str = Field(
        "embedding",
        description="Column of lists of features; optional: without it there are no map, clusters and neighbours.",
    )


class DatasetSettings(BaseModel):
    """Your own images: where they are, how their columns are named, and how they are split."""

    model_config = ConfigDict(extra="forbid")

    source: Place = Field(description="Folder with one subfolder for each class, CSV or parquet file, or Delta table.")
    name: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="Name of the dataset, by which it is recognised wherever it is stored.",
    )
    size: int = Field(32, ge=8, le=512, description="Side of the square that every image is resized to, in pixels.")
    display_side: int = Field(
        DISPLAY_SIDE,
        ge=0,
        le=4096,
        description="Longest side of the whole picture kept for display, in pixels; 0 keeps none.",
    )
    image_column: str = Field(
        "image", description="Column of encoded images, or of paths relative to the file; optional with predictions."
    )
    label_column: str = Field("label", description="Column of class names; an empty value is an unlabeled image.")
    split_column: str = Field("split", description="Column of splits (train, validation, test, unlabeled); optional.")
    name_column: str = Field("name", description="Column of unique names; optional.")
    metadata: Texts = Field(default_factory=list, description="Further columns to filter, colour and compare by.")
    groups: dict[str, dict[str, list[str]]] = Field(
        default_factory=dict,
        description="Groupings of classes: for each name, its values and the labels of each value.",
    )
    predictions: PredictionSettings | None = Field(
        None, description="Predictions of another model in the same table; no model is trained."
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Share of the labelled images that become the test split, if none is named."
    )
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of the labelled images that become the validation split, if none is named."
    )

    @field_validator("groups")
    @classmethod
    def _has_each_label_once(cls, groups: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
        for name, values in groups.items():
            labels = [label for members in values.values() for label in members]
            if not name.isidentifier():
                raise ValueError(f"the grouping {name!r} needs a name of letters, digits and _")
            if twice := {label for label in labels if labels.count(label) > 1}:
                raise ValueError(f"the grouping {name} has {min(twice)!r} twice")
        return groups

    @model_validator(mode="after")
    def _leaves_images_to_train_on(self) -> "DatasetSettings":
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share leave nothing to train on")
        return self
