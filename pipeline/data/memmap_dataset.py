"""The dataset of a published run with memory-mapped images, to train on more images than fit into memory.

The file is named by a hash of the sample ids and pixel hashes and holds the images in the order of their ids: uint8 [N,
H, W, 3]. It may be deleted at any time.
"""

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lake.atomic_files import create_array, write_whole
from lake.errors import LakeError, UserError
from lake.query import joined_samples
from lake.storage.damage import reading
from lake.storage.store import Run
from pipeline.data.dataset import Dataset
from pipeline.engine.progress import Progress

ROWS_AT_ONCE = 5_000


def load_mapped_dataset(run: Run, folder: Path, progress: Progress) -> Dataset:
    """The dataset of the run as stored in the lake, with images mapped from a file in the folder, created if missing.

    Raises `LakeError` naming the sample whose image is missing, damaged or of another size than the first, and
    `UserError` if the file cannot be written.
    """
    with reading(run.lake.root):
        samples = run.scan("samples").sort("sample_id").collect()
    number = {name: i for i, name in enumerate(run.classes)}
    sample_id, sha256 = samples["sample_id"].to_numpy(), samples["sha256"].to_list()
    return Dataset(
        dataset_id=run.dataset_id,
        name=run.facts["dataset_name"],
        classes=run.classes,
        groups=run.groups,
        sample_id=sample_id,
        images_NHWC=_memmap_images(run, sample_id, folder / f"images-{_name(sample_id, sha256)}.npy", progress),
        label=samples["label"].replace_strict(number, return_dtype=pl.Int64).fill_null(-1).to_numpy(),
        split=samples["split"].to_numpy().astype(np.str_),
        source_name=samples["source_name"].to_list(),
        metadata=samples.select(joined_samples.metadata_columns(run)).to_dict(),
    ).with_hashes(sha256)


def _memmap_images(run: Run, sample_id: NDArray[np.int64], file: Path, progress: Progress) -> NDArray[np.uint8]:
    if not file.exists():
        try:
            write_whole(file, partial(_write, run, sample_id, progress))
        except OSError as error:
            raise UserError(
                f"The images of {run.dataset_id} cannot be written to {file.parent} ({error.strerror or error}): "
                "free some space there, or name another folder."
            ) from error
    return np.load(file, mmap_mode="r")


def _write(run: Run, sample_id: NDArray[np.int64], progress: Progress, file: Path) -> None:
    """Write block by block, each image at the position of its id, so that memory use is bounded."""
    missing = np.ones(len(sample_id), bool)
    mapped = None
    with progress.task("images", len(sample_id)) as task:
        for ids, encoded in _scan_blocks(run, sample_id):
            images_BHWC = _decode_block(ids, encoded, mapped.shape[1:] if mapped is not None else None)
            if mapped is None:
                mapped = create_array(file, np.uint8, (len(sample_id), *images_BHWC.shape[1:]))
            place = np.searchsorted(sample_id, ids)
            mapped[place], missing[place] = images_BHWC, False
            task.advance(len(ids))
    if missing.any():
        raise LakeError(f"The lake {run.lake.root} has no image of sample {sample_id[missing][0]}: refresh again.")
    assert mapped is not None
    mapped.flush()


def _scan_blocks(run: Run, sample_id: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
    """Ids and PNGs in batches of rows; images of samples that are gone are skipped."""
    with reading(run.lake.root):
        rows = run.scan("images").select("sample_id", "png")
        for batch in rows.collect_batches(chunk_size=ROWS_AT_ONCE):
            present = batch.filter(pl.Series(np.isin(batch["sample_id"].to_numpy(), sample_id)))
            if len(present):
                yield present["sample_id"].to_numpy(), present["png"].to_list()


def _decode_block(ids: NDArray[np.int64], encoded: list[bytes], shape: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """The pixels [B, H, W, 3]; all must have the given shape, or that of the first image."""
    images: list[NDArray[np.uint8]] = []
    for number, data in zip(ids.tolist(), encoded, strict=True):
        try:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                images.append(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "not a PNG" if isinstance(error, UnidentifiedImageError) else error
            raise LakeError(f"The image of sample {number} in the lake is damaged ({reason}): restore it.") from None
        shape = shape or images[-1].shape
        if images[-1].shape != shape:
            (height, width), (high, wide) = images[-1].shape[:2], shape[:2]
            raise LakeError(
                f"The image of sample {number} has {width} x {height} px, but the first one has {wide} x {high}: "
                "all mapped images must be the same size."
            )
    return np.stack(images)


def _name(sample_id: NDArray[np.int64], sha256: list[str]) -> str:
    """A file name unique to these images."""
    return hashlib.sha256(sample_id.tobytes() + "".join(sha256).encode()).hexdigest()[:32]
