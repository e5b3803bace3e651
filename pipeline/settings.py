"""Every setting in one model: flags > environment (`LATENTLAKE_...`) > TOML file > preset > defaults.

`latentlake config` prints the result and where each value came from; every published run stores it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from lake.errors import UsageError
from lake.storage.places import DEFAULT_ROOT, find_file, read_file, to_root
from pipeline.config import caches
from pipeline.config.dataset import DISPLAY_SIDE, DatasetSettings, Place, PredictionSettings, Source, Texts
from pipeline.config.written import PREFIX, Environment, parse, split
from pipeline.config.wrong_settings import describe

Channels = Annotated[tuple[float, float, float], BeforeValidator(split)]
Positive = Annotated[float, Field(gt=0)]
Spreads = Annotated[tuple[Positive, Positive, Positive], BeforeValidator(split)]
Root = Annotated[str, BeforeValidator(to_root)]
Preset = Literal["smoke", "quick", "standard", "full"]


MOST_THREADS = 1024


def count_threads() -> int:
    """OMP_NUM_THREADS, which other numeric libraries read too; by default one for each CPU the process may use."""
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if threads.isdecimal() and int(threads):
        return min(int(threads), MOST_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Phase(BaseModel):
    """A stretch of training at one image resolution."""

    model_config = ConfigDict(extra="forbid")

    resolution: int = Field(ge=8, description="Side of the square training images, in pixels.")
    epochs: float = Field(gt=0, description="Passes over the training split; may be a fraction.")


PRESET_SIDE = 32
"""Side in pixels of the images that the schedules of the presets are written for."""
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "samples": 2000,
        "unlabeled": 1000,
        "batch_size": 128,
        "phases": [{"resolution": 16, "epochs": 4}, {"resolution": 32, "epochs": 0.5}],
        "kmeans_clusters": 10,
        "hdbscan_min_cluster_size": 15,
    },
    "quick": {
        "scored_train": 3000,
        "warmup": 0.05,
        "crop_padding": 0.0,
        "phases": [
            {"resolution": 12, "epochs": 0.45},
            {"resolution": 16, "epochs": 0.9},
            {"resolution": 24, "epochs": 0.67},
        ],
    },
    "standard": {
        "warmup": 0.1,
        "crop_padding": 0.0625,
        "phases": [
            {"resolution": 16, "epochs": 5},
            {"resolution": 24, "epochs": 4},
            {"resolution": 32, "epochs": 2.7},
        ],
    },
    "full": {
        "phases": [
            {"resolution": 16, "epochs": 20},
            {"resolution": 24, "epochs": 14},
            {"resolution": 32, "epochs": 12},
        ],
    },
}


class Settings(BaseSettings):
    """Settings of the pipeline and the app."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", env_nested_delimiter="__", env_ignore_empty=True
    )
    file_values: ClassVar[dict[str, Any]] = {}

    preset: Preset = Field("quick", description="Numbers of images and epochs: smoke, quick, standard or full.")
    lake: Root = Field(DEFAULT_ROOT, description="Root of the lake: a folder or an object-store URL.")
    work_dir: Place = Field(
        Path("data/work"), description="Finished stages and checkpoints, from which a refresh resumes."
    )
    cache_dir: Place = Field(
        Path(),
        description="Downloads, shared by all of a user's clones; below work_dir if the home folder is not writable.",
    )
    data_dir: Place | None = Field(None, description="Folder with the official CIFAR-10 files or archive.")
    new_data: Source | None = Field(
        None,
        description="Folder, archive, table or address of images that arrive later, with labels where known.",
    )
    dataset: Annotated[DatasetSettings | None, BeforeValidator(parse)] = Field(
        None,
        description="Your own images instead of CIFAR-10: the section [dataset] that `latentlake init` writes.",
    )
    log: Literal["text", "json"] = Field("text", description="Format of log lines: text for people, or json.")
    seed: int = Field(0, ge=0, description="Seed of training, projection, clustering and tests.")
    threads: int = Field(
        default_factory=count_threads,
        ge=1,
        le=MOST_THREADS,
        description="CPU threads; by default OMP_NUM_THREADS, else one for each CPU the process may use.",
    )

    samples: int | None = Field(None, ge=500, description="Number of images to keep; empty keeps all.")
    unlabeled: int = Field(1000, ge=0, description="Number of CIFAR-10's test images whose labels are withheld.")
    split_seed: int = Field(0, ge=0, description="Seed of the splits.")
    scored_train: int | None = Field(None, ge=0, description="Number of training images to score; empty scores all.")

    max_accuracy_drop: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Largest fall of the test accuracy below the last published run; larger falls are refused.",
    )
    apply_reviews: bool = Field(False, description="Apply people's reviews: correct labels, leave samples out.")

    keep_runs: int = Field(30, ge=1, description="Number of newest runs that `gc` keeps.")
    keep_days: float = Field(30, ge=0, description="Age up to which `gc` keeps a run, in days.")
    reader_hours: int = Field(
        24,
        ge=1,
        le=168,
        description="Hours for which the files of a removed run stay readable to pages that have it open.",
    )

    executor: Literal["local", "ray"] = Field(
        "local", description="What maps over samples: this process, or Ray Data on the cluster at RAY_ADDRESS."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Device the model runs on.")
    retrain: Literal["never", "if-stale", "always"] = Field(
        "always",
        description="When to train again: never, if-stale (inputs changed, model old), or always (inputs changed).",
    )
    stale_days: float = Field(7, ge=0, description="Age in days from which a model is old.")
    model: str = Field("resnet18", description="Name of a timm model; the last phase sets its image size.")
    loss_map_layers: Texts = Field(
        default_factory=list,
        description="Layers that loss maps explain, finest first; empty takes the last two stages.",
    )
    mean: Channels = Field((0.4914, 0.4822, 0.4465), description="Per-channel input mean (0 to 1).")
    std: Spreads = Field((0.2470, 0.2435, 0.2616), description="Per-channel input standard deviation (0 to 1).")
    checkpoint: Place | None = Field(
        None, description="Weights of `model` trained elsewhere (.safetensors); scored without training."
    )
    checkpoint_classes: Texts = Field(
        default_factory=list,
        description="Class of each output of the checkpoint, in order; empty takes the dataset's, sorted.",
    )
    allow_pickle: bool = Field(False, description="Also read a checkpoint that is a pickle (.pt, .pth, .bin).")
    pretrained: bool = Field(False, description="Start from timm's published weights.")
    minutes: float | None = Field(
        None, gt=0, description="Training time in minutes on this machine; the schedule is fitted to it."
    )
    folds: int = Field(
        0,
        ge=0,
        le=20,
        description="Number of additional models, each trained without one part of the training split; 0 trains none.",
    )
    phases: Annotated[list[Phase], BeforeValidator(parse)] = Field(
        default_factory=list,
        min_length=1,
        description="Training schedule, from small to large images; samples are scored at the last size.",
    )
    batch_size: int = Field(256, ge=8, description="Images per step.")
    crop_padding: float = Field(
        0.125, ge=0, le=0.5, description="Largest random shift in training, as a share of the side."
    )
    optimizer: Literal["muon", "sgd"] = Field("muon", description="Muon with AdamW, or nesterov SGD.")
    momentum: float = Field(0.6, gt=0, lt=1, description="Nesterov momentum.")
    ns_steps: int = Field(3, ge=1, le=10, description="Newton-Schulz steps of Muon.")
    learning_rate: float = Field(0.05, gt=0, description="Peak learning rate of convolutions and inner linear layers.")
    other_rate_scale: float = Field(
        1.0, gt=0, description="Learning rate of norms, biases and classifier, relative to learning_rate."
    )
    weight_decay: float = Field(
        0.01, ge=0, description="Weight decay of convolutions and inner linear layers; nothing else decays."
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="Label smoothing of the training targets; stored losses have none."
    )
    warmup: float = Field(0.2, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    score_batch_size: int = Field(500, ge=1, description="Images per step of scoring or explaining.")

    pca_dims: int = Field(50, ge=2, description="Principal components used by UMAP and the clusterings.")
    umap_neighbors: int = Field(20, ge=2, description="UMAP's n_neighbors.")
    umap_min_dist: float = Field(0.1, ge=0, le=1, description="UMAP's min_dist: how tightly points are packed.")
    kmeans_clusters: int = Field(20, ge=2, description="Number of clusters of k-means and of bisecting k-means.")
    hdbscan_min_cluster_size: int = Field(
        60, ge=2, description="HDBSCAN's min_cluster_size; smaller dense regions stay unclustered."
    )
    neighbors: int = Field(20, ge=1, le=1000, description="Nearest neighbours stored for each sample.")
    index_above: int = Field(
        200_000,
        ge=0,
        description="Number of samples above which a search index proposes neighbours and similar samples.",
    )
    permutations: int = Field(20_000, ge=100, description="Largest number of permutations of a test.")
    false_discovery_rate: float = Field(
        0.05, gt=0, lt=1, description="False discovery rate of findings and descriptions."
    )
    min_group_size: int = Field(20, ge=5, description="Smallest group that is tested.")

    def for_dataset(self, own: DatasetSettings) -> "Settings":
        """The settings for another dataset, with the schedule of the preset for the size of its images."""
        is_preset = self.phases == preset_phases(self.preset, self.side)
        phases = preset_phases(self.preset, own.size) if is_preset else self.phases
        return self.model_copy(update={"dataset": own, "phases": phases})

    @property
    def side(self) -> int:
        """Side in pixels of the images of the dataset."""
        return self.dataset.size if self.dataset else PRESET_SIDE

    @property
    def display_side(self) -> int:
        """Longest side of pictures kept for display, in pixels; 0 if none are kept."""
        return self.dataset.display_side if self.dataset else DISPLAY_SIDE

    @property
    def resolution(self) -> int:
        """Side in pixels of the model's input images: that of the last training phase."""
        return self.phases[-1].resolution

    @model_validator(mode="after")
    def _has_a_cache_that_can_be_written(self) -> "Settings":
        if "cache_dir" not in self.model_fields_set:
            self.cache_dir = caches.choose(self.work_dir) / "latentlake"
        return self

    @model_validator(mode="after")
    def _has_folds_of_two(self) -> "Settings":
        if self.folds == 1:
            raise ValueError("folds = 1 leaves nothing to train on: choose 0 for none, or at least 2")
        return self

    @model_validator(mode="after")
    def _has_one_model(self) -> "Settings":
        conflicting = [name for name in ("checkpoint", "new_data") if getattr(self, name)]
        if self.predictions and conflicting:
            raise ValueError(
                f"{conflicting[0]} is for a model that is run here, and [dataset.predictions] are of another"
            )
        return self

    @property
    def predictions(self) -> PredictionSettings | None:
        """The columns of external predictions; None if a model is run."""
        return self.dataset.predictions if self.dataset else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert issubclass(settings_cls, Settings)
        stronger = (
            init_settings,
            Environment(settings_cls),
            InitSettingsSource(settings_cls, settings_cls.file_values),
        )
        return (*stronger, _PresetSource(settings_cls, stronger))


class _PresetSource(PydanticBaseSettingsSource):
    """The values of the preset that a source of higher precedence names."""

    def __init__(self, settings_cls: type[BaseSettings], stronger: tuple[PydanticBaseSettingsSource, ...]) -> None:
        super().__init__(settings_cls)
        self._stronger = stronger

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        presets = [source()["preset"] for source in self._stronger if "preset" in source()]
        default = self.settings_cls.model_fields["preset"].default
        return PRESETS.get((presets or [default])[0], PRESETS[default])


def load_settings(config: Path | Mapping[str, Any] | None = None, **flags: Any) -> Settings:
    """Settings from flags that are not None, the environment, the TOML file and the preset.

    `config` is the file or its content; by default the file is that of `LATENTLAKE_CONFIG`, otherwise `latentlake.toml`
    in the working folder. Relative paths start at the working folder. Raises `UsageError` naming each wrong value.
    """

    class _Settings(Settings):
        file_values = _read(config)

    values = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = _Settings(**values)
    except ValidationError as error:
        raise UsageError(
            f"Settings: {describe(Settings, error, values)}. `latentlake config` lists all settings."
        ) from None
    if settings.phases == preset_phases(settings.preset, PRESET_SIDE):
        settings.phases = preset_phases(settings.preset, settings.side)
    return Settings.model_construct(**dict(settings))


def _read(config: Path | Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    file = find_file(config)
    return read_file(file) if file else {}


def preset_phases(preset: str, side: int) -> list[Phase]:
    """The training schedule of a preset for images of that side: its resolutions grow with it, in steps of 4 px."""
    phases = [Phase(**phase) for phase in PRESETS[preset]["phases"]]
    scale = side / PRESET_SIDE
    return [Phase(resolution=4 * max(2, round(p.resolution * scale / 4)), epochs=p.epochs) for p in phases]
