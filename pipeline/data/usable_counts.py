"""Whether enough of a source can be used, and the commonest reason for what cannot."""

import math
from collections import Counter

from lake.text.formatting import percent
from pipeline.config.dataset import DatasetSettings
from pipeline.pixels.unusable import Unusable
from pipeline.source.errors import UnusableSource
from pipeline.source.printable import show

MOST_REFUSED = 0.5
"""A refresh stops if a larger share cannot be used, unless the setting `max_refused` is larger."""

NamedReasons = list[tuple[str, Unusable]]
"""Name and reason of each image that cannot be used."""


def check_share(refused: NamedReasons, usable: int, own: DatasetSettings) -> None:
    """Raises `UnusableSource` if more images cannot be used than can, unless the settings allow it.

    `usable` may include images that are still to be decoded.
    """
    total = usable + len(refused)
    if len(refused) <= max(MOST_REFUSED, own.max_refused) * total:
        return
    share, noun = len(refused) / total, "rows" if own.predictions else "images"
    raise UnusableSource(
        f"{len(refused):,} of {total:,} {noun} of the dataset {own.source} ({percent(share)}) cannot be used: results "
        f"on the others would say little about it. {tell_commonest(refused)}. Fix these {noun}, or what [dataset] says "
        f"of them; to go on without them, set max_refused = {math.ceil(share * 100) / 100:g} in [dataset].",
        refused,
    )


def tell_commonest(refused: NamedReasons) -> str:
    """The most common reason, with an example."""
    ((reason, count),) = Counter(why.reason for _, why in refused).most_common(1)
    name, detail = next((name, why.detail) for name, why in refused if why.reason == reason)
    return f"The most common reason ({count:,} of them) is {reason!r}, as for {show(name)}" + (
        f" ({detail})" if detail else ""
    )
