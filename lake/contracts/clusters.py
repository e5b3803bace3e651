"""The tables of clusters: who belongs where, how good the clusterings are, and what each cluster is."""

import dataframely as dy

from lake.contracts.columns import LATENT, Use, counts_of, float_column, one_of, run_id_column, sample_id_column

METHODS = ["kmeans", "bisecting", "hdbscan"]
QUALITY_MEASURES = ["silhouette", "half_agreement", "seed_agreement", "agreement", "noise"]
SWEEP_MEASURES = ["sweep_silhouette", "sweep_half_agreement"]


class Clusters(dy.Schema):
    """Which cluster each sample belongs to, by method."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering", primary_key=True)
    sample_id = sample_id_column()
    cluster = dy.Int64(
        nullable=True,
        min=0,
        description="Cluster number; null is noise, never merged.",
        metadata=Use(LATENT, name="cluster_{method}", colors=True).metadata,
    )
    distance = float_column(
        "Distance to the cluster's centre in normalised PCA space; null for noise.", nullable=True, min=0
    )
    strength = float_column("Membership strength, 1 for methods without one.", min=0, max=1)


class ClusterQuality(dy.Schema):
    """How good and how stable each clustering is, and others with fewer or more clusters would be."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering", primary_key=True)
    clusters = dy.Int64(primary_key=True, min=0, description="Number of clusters.")
    measure = one_of(
        [*QUALITY_MEASURES, *SWEEP_MEASURES],
        "What is measured: mean silhouette, adjusted Rand index with fits to halves of the samples, to another seed or "
        "of another method, share of noise; the sweep is over a part of the samples",
        primary_key=True,
    )
    of = dy.String(primary_key=True, description="The other method of an agreement; else empty.")
    value = float_column("The value; 1 is best, of noise 0.", min=-1.0001, max=1.0001)


class ClusterSummaries(dy.Schema):
    """What each cluster is, in counts and measured words."""

    run_id = run_id_column()
    method = one_of(METHODS, "Clustering", primary_key=True)
    cluster = dy.Int64(primary_key=True, min=0, description="Cluster number within the method.")
    n = dy.Int64(min=1, description="Samples in the cluster.")
    n_held_out = dy.Int64(min=0, description="Of them labelled and out of sample; losses use these only.")
    class_mix = counts_of("label")
    mean_loss = float_column("Mean loss of the held-out members in nats.", nullable=True)
    lift = float_column("Their mean loss over that of all held-out samples.", nullable=True)
    lift_low = float_column("Lower end of the 95 % bootstrap interval of the lift.", nullable=True)
    lift_high = float_column("Upper end of it.", nullable=True)
    adjusted_p = float_column(
        "Benjamini-Hochberg adjusted p of a raised loss; null if too few.", nullable=True, min=0, max=1
    )
    stability = float_column(
        "Mean largest Jaccard index with clusters found in halves of the samples; above 0.75 stable, below 0.6 not.",
        nullable=True,
        min=0,
        max=1.0001,
    )
    description = dy.String(description="Measured properties that set it apart, with numbers.")
    medoids = dy.List(dy.Int64(), description="Samples nearest to the centre, nearest first.")
