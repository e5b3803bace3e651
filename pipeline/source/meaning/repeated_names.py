"""Rows that name the same image: the first counts, the others are refused, and labels that differ are told."""

from pipeline.pixels.unusable import Unusable
from pipeline.source.listing import ListedImage, Listing

REPEATED = Unusable("duplicate name")


def refuse_repeated(listing: Listing) -> None:
    """Keep the first of the images with the same name, refuse the others, and remark on them."""
    first: dict[str, ListedImage] = {}
    others = [image for image in listing.images if first.setdefault(image.name, image) is not image]
    if not others:
        return
    listing.images = list(first.values())
    listing.refused += [(image.name, REPEATED) for image in others]
    names = {image.name for image in others}
    text = f"{len(names):,} {'images have' if len(names) > 1 else 'image has'} several rows, of which the first counts"
    differing = {image.name: image for image in others if image.label != first[image.name].label}
    if differing:
        name, image = next(iter(differing.items()))
        text += (
            f"; the labels of {len(differing):,} differ, such as {first[name].label!r} and {image.label!r} of {name!r}"
        )
    listing.notes.remarks.append(f"{text}.")
