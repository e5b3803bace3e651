"""Map a class over batches of samples, either sequentially in this process or on a cluster with Ray Data.

Both executors build the same batches in the same order, so the results are identical.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lake.errors import UsageError
from latentlake_packages import Unpacked
from pipeline.engine.progress import Progress
from pipeline.settings import Settings

Batch = dict[str, NDArray[Any]]
"""Columns by name, one row per sample, as in the batches of Ray Data's `map_batches`."""
Mapper = Callable[[Batch], Batch]


def cut(columns: Callable[[slice], Batch], count: int, size: int) -> Iterator[Batch]:
    """Yield `count` rows in batches of `size`, the last perhaps smaller; one empty batch if `count` is 0."""
    for start in range(0, max(count, 1), size):
        yield columns(slice(start, min(start + size, count)))


def map_batches(
    name: str,
    make: Callable[..., Mapper],
    arguments: tuple[Any, ...],
    batches: Iterable[Batch],
    *,
    count: int,
    settings: Settings,
    progress: Progress,
) -> Batch:
    """Apply `make(*arguments)` to each batch and concatenate the results in order.

    `count` is the total number of rows; `name` labels the progress bar.

    Raises `UsageError` if the settings ask for Ray and it is not installed.
    """
    results = []
    mapper = _with_ray if settings.executor == "ray" and count else _in_process  # Ray drops blocks without rows
    mapped = mapper(make, arguments, batches, settings.threads)
    with progress.task(name, count) as task:
        for result in mapped:
            results.append(result)
            task.advance(_rows(result))
    joined = {column: np.concatenate([result[column] for result in results]) for column in results[0]}
    assert _rows(joined) == count
    return joined


def _in_process(
    make: Callable[..., Mapper], arguments: tuple[Any, ...], batches: Iterable[Batch], threads: int
) -> Iterator[Batch]:
    torch.set_num_threads(threads)
    yield from map(make(*arguments), batches)


def _with_ray(
    make: Callable[..., Mapper], arguments: tuple[Any, ...], batches: Iterable[Batch], threads: int
) -> Iterator[Batch]:
    """Map with actors of `threads` CPUs each, as many as fit in the cluster; Ray restarts an actor that dies.

    Each batch is stored as one block, because Ray Data would otherwise merge and split them as it sees fit.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("executor = 'ray' needs the package Ray: pip install '.[ray]', or choose 'local'.")
    import ray
    from ray.data.block import BlockAccessor

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    blocks = [ray.put(BlockAccessor.batch_to_arrow_block(batch)) for batch in batches]
    most = max(1, int(ray.cluster_resources()["CPU"]) // threads)
    mapped = ray.data.from_arrow_refs(blocks).map_batches(
        Unpacked,
        fn_constructor_args=(ray.cloudpickle.dumps((_Worker, (make, arguments, threads))),),
        batch_size=None,
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
    )
    yield from mapped.iter_batches(batch_size=None, batch_format="numpy")


class _Worker:
    """The mapper inside an actor, with as many threads as the actor has CPUs."""

    def __init__(self, make: Callable[..., Mapper], arguments: tuple[Any, ...], threads: int) -> None:
        torch.set_num_threads(threads)
        self._mapper = make(*arguments)

    def __call__(self, batch: Batch) -> Batch:
        return self._mapper(batch)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))
