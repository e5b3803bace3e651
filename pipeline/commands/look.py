"""Look at a source before anything is computed: what it is, what is unclear, and what a refresh would cost."""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lake.errors import UserError
from pipeline.config.dataset import DatasetSettings, PredictionSettings
from pipeline.data.few_images import check_enough, needs_model, tell_without_model
from pipeline.data.usable_counts import MOST_REFUSED, check_share
from pipeline.pixels.survey import Survey, suggest_size, survey_images
from pipeline.settings import Settings
from pipeline.source.errors import NoImages, UnusableSource
from pipeline.source.understanding.read import Say
from pipeline.source.understanding.summary import drawn_shares, summarize
from pipeline.source.understanding.understand import Understanding, understand


@dataclass(frozen=True)
class Look:
    """A source as it was found, with the settings that fit it."""

    understanding: Understanding
    own: DatasetSettings
    """The settings asked for, with a size that fits the images and a section for predictions if there are some."""
    size_reason: str
    """Why that size is suggested; empty if it was asked for, or if there are no images."""
    lines: list[tuple[str, str]]
    """The summary, heading and text of each line."""


def look(own: DatasetSettings, settings: Settings, cache: Path, say: Say) -> Look:
    """Look at a source under the given settings; a table without images is looked at as one of predictions.

    Raises `UserError` if it cannot be read.
    """
    own, source = _understand(own, cache, say)
    pictures = [image.image for image in source.listing.images if image.image is not None]
    reason, more = "", list[tuple[str, str]]()
    too_little = _tell_too_little(source, own, settings)
    if pictures:
        survey = survey_images(pictures)
        if "size" not in own.model_fields_set:
            size, reason = suggest_size(survey)
            own = own.model_copy(update={"size": size})
        more += [("sizes", sentence) for sentence in survey.sentences(own.size)]
        if own.predictions is None:
            more += [("size", f"{own.size} px: {reason}")] if reason else []
            if not too_little:
                more += _estimate(source, own, settings) if needs_model(source.classes) else _say_no_model(source)
        more += _tell_unreadable(survey, own)
    more += too_little
    return Look(source, own, reason, summarize(source, more))


def _understand(own: DatasetSettings, cache: Path, say: Say) -> tuple[DatasetSettings, Understanding]:
    """What a source means, and the settings for that, with a section for predictions if it has nothing else."""
    predicted = own.model_copy(update={"predictions": PredictionSettings()})
    try:
        source = understand(own, cache, say)
    except NoImages:
        return predicted, understand(predicted, cache, say)
    if not source.listing.images and own.predictions is None:  # perhaps the paths are names only
        with suppress(UserError):
            return predicted, understand(predicted, cache, say)
    return own, source


def _say_no_model(source: Understanding) -> list[tuple[str, str]]:
    labelled = sum(image.label is not None for image in source.listing.images)
    return [("model", tell_without_model(labelled, source.classes))]


def _tell_unreadable(survey: Survey, own: DatasetSettings) -> list[tuple[str, str]]:
    """That a refresh would stop, if more of the images looked at cannot be read than it allows."""
    unreadable = sum(survey.unreadable.values())
    if unreadable <= max(MOST_REFUSED, own.max_refused) * survey.looked_at:
        return []
    return [
        (
            "too little",
            f"{unreadable:,} of {survey.looked_at:,} images looked at cannot be read. A refresh stops if more than "
            "half of all cannot be used, unless max_refused in [dataset] is larger.",
        )
    ]


def _tell_too_little(source: Understanding, own: DatasetSettings, settings: Settings) -> list[tuple[str, str]]:
    """Why a refresh would refuse the source, if too few images can be used."""
    listing = source.listing
    try:
        check_enough(own, [image.label for image in listing.images], listing.refused, checkpoint=settings.checkpoint)
        check_share(listing.refused, len(listing.images), own)
    except UnusableSource as error:
        return [("too little", str(error))]
    return []


def _estimate(source: Understanding, own: DatasetSettings, settings: Settings) -> list[tuple[str, str]]:
    """Steps, minutes and memory of a training; nothing without the packages for one, or with a checkpoint."""
    images = source.listing.images
    labelled = [image for image in images if image.label is not None]
    if settings.checkpoint or importlib.util.find_spec("torch") is None:
        return []
    from pipeline.model.cost_estimate import estimate_cost  # takes seconds to import

    pool = sum(image.split in ("train", None) for image in labelled)
    train = round(pool * (1 - sum(drawn_shares(own, {image.split for image in labelled}).values())))
    if not train:
        return []
    sized = settings.for_dataset(own)
    cost = estimate_cost(sized, classes=len(source.classes), train=train, images=len(images))
    return [
        (
            "cost",
            f"about {cost.steps:,} training steps of {min(sized.batch_size, train):,} of {train:,} images. On this "
            f"machine, training takes {_say_minutes(cost.training_seconds)} and the whole refresh "
            f"{_say_minutes(cost.seconds)}, with {cost.memory_bytes / 2**30:.1f} GiB of memory.",
        )
    ]


def _say_minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "1 minute" if minutes == 1 else f"{minutes:,} minutes" if minutes else "less than a minute"
