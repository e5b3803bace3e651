"""Clusters, confusions and findings on pages."""
