"""The batch pipeline: images in, a published run in the lake out."""

import latentlake_packages

latentlake_packages.load("lake")
