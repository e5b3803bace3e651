"""A small lake of this version, kept in `tests/releases` and read by the tests of all later versions.

    python -m tests.support.lakes.released

draws photos, refreshes them with the command `latentlake` and writes `tests/releases/<version>.tar.xz`.
"""

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from tests.support.data.drawn import CLASSES, draw_shape
from tests.support.paths import REPOSITORY

RELEASES = REPOSITORY / "tests" / "releases"
PHOTOS = 160
SETTINGS = """\
preset = "smoke"
model = "test_resnet"
phases = [{ resolution = 32, epochs = 6 }]
batch_size = 48
ns_steps = 1
pca_dims = 10
kmeans_clusters = 4
hdbscan_min_cluster_size = 10
permutations = 500
neighbors = 15
lake = "lake"
work_dir = "work"

[dataset]
source = "photos"
name = "Drawn shapes"
groups = { superclass = { angular = ["bar", "square"], round = ["disc", "ring"] } }
"""


def write_sources(folder: Path) -> None:
    """Write the photos, in a subfolder for each class, and the settings file into an existing folder."""
    rng = np.random.default_rng(0)
    for i in range(PHOTOS):
        name = CLASSES[i % len(CLASSES)]
        file = folder / "photos" / name / f"{i:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_shape(name, int(rng.integers(60, 220)), rng)).save(file)
    (folder / "latentlake.toml").write_text(SETTINGS)


def pack(folder: Path, archive: Path) -> None:
    """Write photos, settings and lake to an archive; without the work folder, which a new machine lacks too."""
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz") as packed:
        for name in ("latentlake.toml", "photos", "lake"):
            packed.add(folder / name, arcname=name)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder and return the folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def main() -> None:
    archive = RELEASES / f"{version('latentlake')}.tar.xz"
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_sources(folder)
        command = shutil.which("latentlake", path=str(Path(sys.executable).parent)) or "latentlake"
        subprocess.run([command, "refresh"], cwd=folder, check=True)
        pack(folder, archive)
    sys.stdout.write(f"{archive.relative_to(REPOSITORY)}: {archive.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
