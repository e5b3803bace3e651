"""Where the images of samples and of the map are, relative to the page, so that it holds behind every proxy."""

from lake.storage.store import Run


def thumbnail(run: Run, sample_id: int) -> str:
    """The address of a sample's image."""
    return f"{thumbnail_folder(run)}{sample_id}.png"


def thumbnail_folder(run: Run) -> str:
    """The address that the images of the run's dataset share, up to the number of the sample; empty without images."""
    return f"thumbnails/{run.dataset_id}/" if run.has("images") else ""


def original(run: Run, sample_id: int) -> str:
    """The address of a sample's image as it came, for those that have one."""
    return f"originals/{run.dataset_id}/{sample_id}"


def map_picture(run: Run) -> str:
    """The address of the pictures under the map of a run, without parameters."""
    return f"pictures/{run.run_id}.png"
