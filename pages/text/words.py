"""Numbers as people read them: units, two to three significant digits, thousands separated."""

import re
import unicodedata

from lake.contracts.rows import LabelCount
from lake.statistics import wilson_interval

NO_BREAK = "\u00a0"
WORD_JOINER = "\u2060"  # has no width and keeps an address or e-mail from becoming a link, which no escape does

ISOLATE, ISOLATED = "\u2066", "\u2069"
"""What the direction of the text between them does not reach beyond."""
RIGHT_TO_LEFT = {"R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI"}


def percent(share: float) -> str:
    """0.924 -> "92.4 %", never broken over two lines."""
    return f"{share * 100:.1f}{NO_BREAK}%"


PERCENT = "%.1f %%"
"""Format of a table's column of shares, given in hundredths, so that it reads as `percent` writes."""


def share_with_interval(hits: int, n: int) -> str:
    """ "92.4 % (91.9 to 92.9)": a share with its 95 % Wilson interval."""
    low, high = wilson_interval(hits, n)
    return f"{percent(hits / n)} ({low * 100:.1f} to {high * 100:.1f})"


def estimate(row: dict[str, float]) -> str:
    """ "0.988 (0.987–0.990)": a `value` with the ends `low` and `high` of its 95 % interval."""
    return f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})"


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def name(column: str) -> str:
    """A column for people: "bg_lightness" -> "Background lightness"."""
    words = column.replace("bg_", "background_").replace("kmeans", "k-means").replace("_", " ")
    return words[:1].upper() + words[1:]


def counted(n: int, noun: str) -> str:
    """ "1 image", "1,400 images"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def mix_text(mix: list[LabelCount]) -> str:
    """ "cat 62%, dog 31%": the most frequent class with its share, the next if it has a hundredth."""
    total = sum(part["n"] for part in mix) or 1
    shares = [(part["label"], part["n"] / total) for part in mix[:2]]
    said = [f"{label} {share:.0%}" for i, (label, share) in enumerate(shares) if i == 0 or share >= 0.01]
    return ", ".join(said) or "no labels"


def plain(text: str) -> str:
    """Text of an address or a lake, escaped so that Markdown makes no link, image, formula, list or icon of it.

    Blanks at its ends stay, and where some of it reads from right to left the sentence around it does not.
    """
    text = re.sub(r"\s", " ", text)
    broken = re.sub(r":(?=[\w+/-])|www(?=\.)|[<~>-](?=[->=])|(?=@)", lambda found: found[0] + WORD_JOINER, text)
    escaped = re.sub(r"([\\`*_\[\]()<>!$#~|&])", r"\\\1", broken)
    escaped = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)  # would begin a list or a heading
    escaped = re.sub(r"^ +| +$", _hard_blanks, escaped)
    return (
        f"{ISOLATE}{escaped}{ISOLATED}" if any(unicodedata.bidirectional(c) in RIGHT_TO_LEFT for c in text) else escaped
    )


def _hard_blanks(found: re.Match[str]) -> str:
    """As many blanks that are kept; beside stars they would end the emphasis, what joins words does not."""
    blanks = NO_BREAK * len(found[0])
    return f"{WORD_JOINER}{blanks}" if found.start() == 0 else f"{blanks}{WORD_JOINER}"


GLOSSARY = {
    "loss": "How surprised the model is by the given label: -log of the probability it gave it, in nats. "
    "0 is certain and right, 0.69 is a coin toss, above 2.3 is worse than guessing among ten classes.",
    "lift": "Mean loss of a group divided by the mean loss of all held-out samples. 2 means twice as hard.",
    "held-out": "Samples the model was not trained on. Only these are used for statements about loss.",
    "in-sample": "Samples the model was trained on: their loss is too low to judge by.",
    "confirmed": "Found on one half of the held-out samples and found again, below 0.05, on the other half.",
    "calibration": "How far confidence is from the share right, over 15 bins of equal size.",
    "interval": "Where the true value lies in 95 of 100 repetitions of such a measurement.",
    "stability": "How well the group is found again in random halves of the samples: mean Jaccard index, 1 is the same "
    "members. Above 0.75 stable, below 0.6 doubtful.",
    "agreement": "Agreement is the adjusted Rand index: 1 is the same groups, 0 what chance gives. The silhouette is 1 "
    "where a sample is much nearer to its own group than to the next, 0 on the border.",
    "embedding": "The numbers the model computes of an image just before it decides.",
    "occlusion": "A part of the image is blurred and the image scored again: what the map says can be compared with "
    "what really happens. The red quarter is the quarter of the cells that raise the loss most, the blue quarter those "
    "that lower it most; as much elsewhere is the red quarter's shape moved by chance, which tells what blurring does "
    "by itself.",
    "border": "The outermost cells of the map, a proxy for the background. The share is of all that raises the loss: "
    "the sum of the cells above 0.",
    "expected precision": "Share of wrong labels in the list down to the row that the model's probabilities let "
    "expect: contradictions that they allow by chance are taken off. 0 means that chance alone would make such a list.",
    "AUM": "Area under the margin: by how much the label was ahead of the next class on average during training. "
    "Below 0 the model learnt the label against its will.",
    "pooled": "The mean of the maps of many samples, at their given labels. Held-out samples only.",
    "adjusted p": "How often chance alone does as much, corrected for the number of groups tested.",
    "temperature": "What the logits are divided by before the softmax, so that confidence is honest.",
    "nats": "The unit of the loss: logarithms to the base e. Each nat is a factor of 2.7 in the probability.",
    "expected loss": "Of an image without a label: the loss to expect if the model's own probabilities are right.",
    "confidence": "The probability that the model gives to the class it predicts.",
    "margin": "By how much the most probable class is ahead of the second.",
    "recall": "Of the images of a class, the share that is called so.",
    "precision": "Of the images called a class, the share that is of it; of a list, the share that is right.",
    "latent space": "The space of the embeddings: images that the model treats alike are near to each other.",
    "cosine similarity": "How alike two embeddings point: 1 is the same direction, 0 is unrelated.",
    "UMAP": "A drawing of the latent space in two dimensions that keeps near ones near. Far distances mean nothing.",
    "linear probe": "A linear classifier on the embeddings: how well the kinds can be told apart by a flat cut.",
    "purity": "The share of the nearest images that are of the same kind.",
    "silhouette": "1 where a sample is much nearer to its own group than to the next, 0 on the border, below 0 on the "
    "wrong side.",
    "k-means": "Groups around centres, every sample in the group of the nearest one. Bisecting k-means splits the "
    "largest group in two again and again. HDBSCAN takes dense regions and leaves the rest in no group.",
    "slice": "Samples that share a class or a range of an image property.",
    "permutation test": "Compares a group with thousands of random groups of its size: p is how often these do so.",
    "Cliff's delta": "How much more often a value of one group is above one of the others: 0 is never more often, 1 "
    "always. From 0.33 a difference is called somewhat, from 0.474 clearly.",
    "McNemar's test": "Whether one run breaks as many samples as it fixes, counting only those that changed.",
    "energy distance": "How far two sets of embeddings lie apart as a whole: 0 is the same distribution.",
    "drift": "That data changed between runs or splits by more than chance, and by more than a trifle.",
    "L*": "Lightness as people see it, 0 black to 100 white (CIELAB). Chroma is colourfulness, hue the colour's angle.",
    "loss map": "Which regions of an image raise the loss (red) and which lower it (blue), in nats (HiResCAM).",
}
