"""Our packages `lake` and `pipeline`, also where a file or folder of that name comes first on python's path.

A person's own `lake.py` or `pipeline/`, beside a script or in the working folder, is never imported in their place.
"""

import importlib.util
import pickle
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent


def load(name: str) -> None:
    """Import our package of that name from beside this file; nothing where that has been done.

    Raises `ImportError` naming the file where another module of that name has been imported before.
    """
    imported = sys.modules.get(name)
    if imported is None:
        _import(name)
    elif (place := _place_of(imported)).parent != HERE:
        raise ImportError(
            f"{place} is imported as {name!r}, which is the name of a package of latentlake: rename it, or import "
            "latentlake in a process without it, such as the command `latentlake`."
        )


class Unpacked:
    """What a pickled `(make, arguments)` makes, in a process of Ray's, where modules beside the script come first."""

    def __init__(self, pickled: bytes) -> None:
        for name in ("lake", "pipeline"):
            load(name)
        make, arguments = pickle.loads(pickled)
        self._map = make(*arguments)

    def __call__(self, batch: Any) -> Any:
        return self._map(batch)


def _import(name: str) -> None:
    spec = PathFinder.find_spec(name, [str(HERE)])
    if spec is None or spec.loader is None:
        raise ImportError(f"latentlake is not whole: there is no {HERE / name}, so install it again.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _place_of(module: ModuleType) -> Path:
    """The file of a module; the folder of a package."""
    return Path(next(iter(getattr(module, "__path__", [])), None) or module.__file__ or "").resolve()
