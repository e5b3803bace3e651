"""Settings sections [dataset] and [dataset.predictions]: own images, and the predictions of another model."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lake.storage.places import to_path, to_source
from pipeline.config.written import split

Texts = Annotated[list[str], BeforeValidator(split)]
Place = Annotated[Path, BeforeValidator(to_path)]
Source = Annotated[Path | str, BeforeValidator(to_source)]
"""A path on this machine, or an address such as https://host/photos.zip."""
DISPLAY_SIDE = 512
"""Longest side of pictures kept for display, in pixels."""


class PredictionSettings(BaseModel):
    """Predictions of another model, as columns of the table that lists the images; nothing is trained."""

    model_config = ConfigDict(extra="forbid")

    column: str | None = Field(
        None,
        min_length=1,
        description="Column of lists with one number for each class, or prefix of one column for each class; "
        "by default found.",
    )
    logits: bool | None = Field(
        None, description="Whether the numbers are logits, whose softmax gives the probabilities; by default found."
    )
    normalize: bool | None = Field(
        None, description="Whether to divide the numbers of each row by their sum; by default only rounding is."
    )
    positive: str | None = Field(
        None, min_length=1, description="The class whose probability is given, if there is one number per row."
    )
    classes: Texts = Field(
        default_factory=list, description="Class of each number, in order; by default found from names and labels."
    )
    embedding_column: str | None = Field(
        None,
        description="Column of lists of features; optional: without it there are no map, clusters and neighbours.",
    )
    table: Place | None = Field(
        None, description="Table of the predictions if it is another one than that of the images; joined by name."
    )
    embedding_table: Place | None = Field(
        None, description="Table of the embeddings if it is another one than that of the images; joined by name."
    )


class DatasetSettings(BaseModel):
    """Your own images: where they are, how their columns are named, and how they are split."""

    model_config = ConfigDict(extra="forbid")

    source: Source = Field(
        description="Folder or archive of images, table (CSV, parquet, Arrow, Delta), WebDataset shards or .npz "
        "arrays; also by address."
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="Name of the dataset, by which it is recognised wherever it is stored.",
    )
    id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="Id of a dataset of the lake to continue, as after its folder was moved; "
        "by default made from the name, or else from where the source lies.",
    )
    size: int = Field(32, ge=8, le=512, description="Side of the square that every image is resized to, in pixels.")
    display_side: int = Field(
        DISPLAY_SIDE,
        ge=0,
        le=4096,
        description="Longest side of the whole picture kept for display, in pixels; 0 keeps none.",
    )
    image_column: str | None = Field(
        None,
        min_length=1,
        description="Column of encoded images, or of paths relative to the file; optional with predictions.",
    )
    label_column: str | None = Field(
        None, description='Column of class names; an empty value is an unlabeled image; "" for none.'
    )
    split_column: str | None = Field(
        None, description='Column of splits (train, validation, test, unlabeled); optional; "" for none.'
    )
    name_column: str | None = Field(None, description='Column of unique names; optional; "" for none.')
    group_column: str | None = Field(
        None, description='Column of groups, such as patients, that must stay in one split; optional; "" for none.'
    )
    class_level: int | None = Field(
        None,
        ge=0,
        description="Level of the folders that name the class, counted from 1 below the source; 0 for none; "
        "by default found.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description='Class of a label as it is written in the source; "" for an image without a label.',
    )
    splits: dict[str, Literal["train", "validation", "test", "unlabeled"]] = Field(
        default_factory=dict, description="Split of a name as it is written in the source, of a folder or in a column."
    )
    allow_outside: bool = Field(False, description="Whether a table may name files outside its own folder.")
    max_refused: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Share of unusable images above which the headline says so; above this and one half, a refresh "
        "stops.",
    )
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
