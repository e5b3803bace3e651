"""The names of labels that are stored as integers, in the order that the source declares.

`datasets` writes them in the metadata of a schema, in `dataset_info.json` beside it and in the front matter of
README.md; Arrow and polars in the types of ordered dictionaries and enumerations.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from lake.errors import UserError

Names = dict[str, list[str]]
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "README.md")
MAX_BYTES = 2**24
"""Larger descriptions are not read."""


def read_class_names(
    schema: pl.Schema, metadata: dict[str, str], folders: Iterable[Path], dictionaries: Names
) -> Names:
    """The class names of each column of integers or categories that has some; those of `label.fine` lie in a struct.

    `metadata` is that of the file's schema. `folders` may hold descriptions, of which the first that names the classes
    of a column counts; among several configurations, the one that a folder is named like. `dictionaries` are those of
    ordered dictionary columns. Descriptions that cannot be read name nothing.
    """
    places = list(folders)
    configurations = {folder.name for folder in places}
    found = _embedded(metadata)
    for folder in places:
        found = _described(folder, configurations) | found
    columns = {name: list(dtype.categories) for name, dtype in schema.items() if isinstance(dtype, pl.Enum)}
    integers = {name: names for name, names in found.items() if _is_integer(schema, name)}
    return {**dictionaries, **columns, **integers}


def name_labels(column: pl.Series, names: list[str] | None) -> pl.Series:
    """The labels as text: integers by the names of their classes, if there are any; -1 is no label then.

    Lists of one label are that label. Raises `UserError` for an integer without name, and for lists of several labels.
    """
    if column.dtype.is_nested():
        column = _only_label(column)
    if names is None or not column.dtype.is_integer():
        return _to_texts(column)
    code = column.cast(pl.Int64, strict=False)
    if wrong := code.filter((code < -1) | (code >= len(names))).to_list():
        raise UserError(
            f"The column {column.name!r} has {wrong[0]:,}, but the source names {len(names):,} classes, 0 to "
            f"{len(names) - 1:,}: correct the labels, or the names of the classes."
        )
    return code.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)


def _to_texts(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise UserError(
            f"The column {column.name!r} has type {column.dtype} and values that are no text: choose another one as "
            "label_column."
        ) from None


def _only_label(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(column.dtype.inner))
        most = max(lists.list.len().drop_nulls().to_list(), default=0)
        if most <= 1 and not lists.explode().dtype.is_nested():
            return lists.list.first()
        raise UserError(
            f"The column {column.name!r} has several labels in a row, such as {most:,} in one: "
            "every image needs one class. Choose another label_column, or keep the rows with one label."
        )
    raise UserError(
        f"The column {column.name!r} has type {column.dtype}, which is no class: choose another label_column."
    )


def _is_integer(schema: pl.Schema, name: str) -> bool:
    """Whether a column, or the field of a struct that is named `label.fine`, holds integers."""
    first, *fields = name.split(".") if name not in schema else [name]
    dtype: Any = schema.get(first)
    for field in fields:
        parts = {part.name: part.dtype for part in dtype.fields} if isinstance(dtype, pl.Struct) else {}
        dtype = parts.get(field)
    if isinstance(dtype, pl.List | pl.Array):
        dtype = dtype.inner
    return dtype is not None and dtype.is_integer()


def _embedded(metadata: dict[str, str]) -> Names:
    with suppress(ValueError, AttributeError, TypeError):
        features = json.loads(metadata.get("huggingface", "{}")).get("info", {}).get("features", {})
        return _from_features(features)
    return {}


def _described(folder: Path, configurations: set[str]) -> Names:
    """The class names that the descriptions in a folder agree upon."""
    found: Names = {}
    for name in DESCRIPTIONS:
        file = folder / name
        with suppress(OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
            if file.is_file() and file.stat().st_size <= MAX_BYTES:
                text = file.read_text("utf-8-sig")
                read = _from_front_matter if name == "README.md" else _from_info
                found = read(text, configurations) | found
    return found


def _from_info(text: str, configurations: set[str]) -> Names:
    """Of dataset_info.json, or dataset_infos.json, which has one for each configuration."""
    info = json.loads(text)
    if "features" in info:
        return _from_features(info["features"])
    chosen = [one for name, one in info.items() if name in configurations] or list(info.values())
    return _agreed([_from_features(one.get("features") or {}) for one in chosen])


def _from_features(features: Any, prefix: str = "") -> Names:
    """The names of each ClassLabel among features as `datasets` writes them in JSON."""
    found: Names = {}
    for name, feature in features.items():
        if isinstance(feature, list) and feature:
            feature = feature[0]
        if not isinstance(feature, dict):
            continue
        if feature.get("_type") in ("Sequence", "List", "LargeList") and isinstance(feature.get("feature"), dict):
            feature = feature["feature"]
        if feature.get("_type") == "ClassLabel":
            found |= _checked(f"{prefix}{name}", feature.get("names"))
        elif "_type" not in feature:
            found |= _from_features(feature, f"{prefix}{name}.")
    return found


def _from_front_matter(text: str, configurations: set[str]) -> Names:
    """Of the YAML between lines of --- at the start of a README; all its scalars are text."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in (bare := [line.strip() for line in lines[1:]]):
        return {}
    document = yaml.load("\n".join(lines[1 : bare.index("---") + 1]), Loader=yaml.BaseLoader) or {}
    infos = document.get("dataset_info") or []
    infos = infos if isinstance(infos, list) else [infos]
    chosen = [info for info in infos if info.get("config_name") in configurations] or infos
    return _agreed([_from_yaml(info.get("features") or []) for info in chosen])


def _from_yaml(features: list[dict[str, Any]], prefix: str = "") -> Names:
    """The names of each class_label among features as a README lists them."""
    found: Names = {}
    for feature in features:
        name = f"{prefix}{feature.get('name')}"
        for key in ("dtype", "sequence", "list"):
            if isinstance(feature.get(key), dict) and isinstance(label := feature[key].get("class_label"), dict):
                found |= _checked(name, label.get("names"))
        if isinstance(feature.get("struct"), list):
            found |= _from_yaml(feature["struct"], f"{name}.")
    return found


def _checked(column: str, names: Any) -> Names:
    """Names in order, of a list or a dictionary by number; nothing unless all are texts, numbered from 0 and unique."""
    if isinstance(names, dict):
        numbered = {int(number): name for number, name in names.items()}
        names = [numbered.get(i) for i in range(len(numbered))]
    valid = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return {column: names} if valid and len(set(names)) == len(names) else {}


def _agreed(several: list[Names]) -> Names:
    """The columns that have the same names wherever they have some."""
    columns = {column for names in several for column in names}
    all_names = {column: [names[column] for names in several if column in names] for column in columns}
    return {column: names[0] for column, names in all_names.items() if all(other == names[0] for other in names)}
