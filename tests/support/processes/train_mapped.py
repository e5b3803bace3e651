"""Train on memory-mapped images: `train_mapped.py FOLDER IMAGES` prints the added memory and the size of the images.

The added memory is the peak of anonymous memory beyond that of the same training on few of the images.
"""

import gc
import sys
from pathlib import Path

import numpy as np

from benchmarks.support.memory import watch_memory
from lake.atomic_files import create_array
from pipeline.engine.progress import Progress
from pipeline.model.train import WHITENING_IMAGES, TrainingSet, train
from tests.support.data.drawn import tiny_settings

FEW, STEPS, BATCH, CLASSES = WHITENING_IMAGES, 3, 48, 4


def main(folder: Path, size: int) -> None:
    file = folder / "images.npy"
    create_array(file, np.uint8, (size, 32, 32, 3)).flush()
    mapped = np.load(file, mmap_mode="r")
    _, few, all_ = (_peak(mapped, folder, count) for count in (FEW, FEW, size))  # the first run loads what torch needs
    print(all_ - few, mapped.nbytes)  # noqa: T201


def _peak(mapped: np.ndarray, folder: Path, count: int) -> int:
    phases = [{"resolution": 8, "epochs": STEPS * BATCH / count}]
    settings = tiny_settings(folder, batch_size=BATCH, phases=phases)
    data = TrainingSet(mapped, np.arange(count), np.arange(count) % CLASSES, CLASSES)
    gc.collect()
    with watch_memory() as peak:
        train(data, settings, Progress(quiet=True), snapshot=folder / "training.safetensors", facts={})
    return peak["anonymous"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
