"""One process of a training under `torchrun`: `train_together.py FOLDER` stores the result of its rank."""

import sys
from pathlib import Path

import numpy as np
import torch

from pipeline.engine.progress import Progress
from pipeline.model.classifier import forward, normalize, resize
from pipeline.model.distributed import this_rank
from pipeline.model.train import train, training_set
from tests.support.data.drawn import drawn_dataset, tiny_settings

SIDE = 16


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    dataset = drawn_dataset(480)
    settings = tiny_settings(folder, phases=[{"resolution": SIDE, "epochs": 6}])
    data, test = training_set(dataset, dataset.rows("train")), dataset.rows("test")
    trained = train(data, settings, Progress(quiet=True), snapshot=folder / "training.safetensors", facts={})
    with torch.inference_mode():
        images = resize(torch.from_numpy(dataset.images_NHWC[test]), SIDE)
        _, logits = forward(trained.model, normalize(images))
    dynamics = trained.dynamics.frame(np.arange(len(data.label_N)))
    np.savez(
        folder / f"rank{this_rank()}.npz",
        weights=torch.cat([p.detach().flatten() for p in trained.model.parameters()]).numpy(),
        accuracy=(logits.argmax(1).numpy() == dataset.label[test]).mean(),
        aum=dynamics["aum"].to_numpy(),
        times_seen=dynamics["times_seen"].to_numpy(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
