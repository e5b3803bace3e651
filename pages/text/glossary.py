"""The technical words of the pages and what they mean."""

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
