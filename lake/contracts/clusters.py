"""Contracts of the cluster tables: cluster of each sample, quality of the clusterings, summary of each cluster."""

import dataframely as dy

from lake.contracts.columns import LATENT, Use, counts_of, float_column, one_of, run_id_column, sample_id_column

METHODS = ["kmeans", "bisecting", "hdbscan"]
QUALITY_MEASURES = ["silhouette", "half_agreement", "seed_agreement", "agreement", "noise"]
SWEEP_MEASURES = ["sweep_silhouette", "sweep_half_agreement"]


class Clusters(dy.Schema):
    """The cluster of each sample, by clustering method."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering method", primary_key=True)
    sample_id = sample_id_column()
    cluster = dy.Int64(
        nullable=True,
        min=0,
        description="Cluster number; null for noise, which is never merged into a cluster.",
        metadata=Use(LATENT, name="cluster_{method}", colors=True).metadata,
    )
    distance = float_column(
        "Distance to the cluster centre in normalised PCA space; null for noise.", nullable=True, min=0
    )
    strength = float_column("Membership strength; 1 for methods that have none.", min=0, max=1)


class ClusterQuality(dy.Schema):
    """Quality and stability of each clustering, and of alternatives with fewer or more clusters."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering method", primary_key=True)
    clusters = dy.Int64(primary_key=True, min=0, description="Number of clusters.")
    measure = one_of(
        [*QUALITY_MEASURES, *SWEEP_MEASURES],
        "Measure: mean silhouette, adjusted Rand index with fits to halves of the samples, with another seed or "
        "with another method, share of noise; the sweep uses a subset of the samples",
        primary_key=True,
    )
    of = dy.String(primary_key=True, description="The other method of an agreement; otherwise empty.")
    value = float_column("The value; 1 is best, except for noise, where 0 is.", min=-1.0001, max=1.0001)


class ClusterSummaries(dy.Schema):
    """Summary of each cluster: counts, loss, and a description from measured properties."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering method", primary_key=True)
    cluster = dy.Int64(primary_key=True, min=0, description="Cluster number within the method.")
    n = dy.Int64(min=1, description="Samples in the cluster.")
    n_held_out = dy.Int64(min=0, description="Labelled, held-out samples in the cluster; losses use only these.")
    class_mix = counts_of("label")
    mean_loss = float_column("Mean loss of the held-out samples in the cluster, in nats.", nullable=True)
    lift = float_column("Mean loss of these samples divided by that of all held-out samples.", nullable=True)
    lift_low = float_column("Lower bound of the 95 % bootstrap interval of the lift.", nullable=True)
    lift_high = float_column("Upper bound of the interval.", nullable=True)
    adjusted_p = float_column(
        "Benjamini-Hochberg adjusted p of a raised loss; null if there are too few samples.",
        nullable=True,
        min=0,
        max=1,
    )
    stability = float_column(
        "Mean largest Jaccard index with clusters found in halves of the samples; stable above 0.75, not below 0.6.",
        nullable=True,
        min=0,
        max=1.0001,
    )
    description = dy.String(description="Measured properties that distinguish the cluster, with numbers.")
    medoids = dy.List(dy.Int64(), description="Samples nearest to the cluster centre, nearest first.")
