"""URLs of the images of samples and of the map, relative to the page so that they work behind any proxy."""

from lake.storage.store import Run


def thumbnail(run: Run, sample_id: int) -> str:
    """Return the URL of a sample's image."""
    return f"{thumbnail_folder(run)}{sample_id}.png"


def thumbnail_folder(run: Run) -> str:
    """Return the common prefix of the image URLs of the run's dataset; empty if the run has no images."""
    return f"thumbnails/{run.dataset_id}/" if run.has("images") else ""


def original(run: Run, sample_id: int) -> str:
    """Return the URL of a sample's original picture, for samples that have one."""
    return f"originals/{run.dataset_id}/{sample_id}"


def map_picture(run: Run) -> str:
    """Return the URL of the picture under the map of a run, without parameters."""
    return f"pictures/{run.run_id}.png"
