"""Malformed folders and archives, and shards of a WebDataset."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

from hypothesis import strategies as st

from tests.support.data.malformed.parts import ODD_TEXTS, PICTURE_BYTES, PLAIN, Malformed, maybe_changed

FOLDERS = [
    "train",
    "test",
    "val",
    "cat",
    "dog",
    "cat ",
    "1",
    "01",
    "images",
    "mask",
    "a.png",
    "x" * 250,
    "é",
    "e\u0301",
]
FILES = ["1.png", "1.PNG", "2.jpg", "labels.csv", "train.txt", "x", "x.tif", "x_mask.png", "1.nef", "._1.png", "1.zip"]
ODD_NAMES = [
    name for text in ODD_TEXTS if (name := text.replace("/", "_").replace("\0", "_")[:80]) not in ("", ".", "..")
]
NAME_BYTES = st.one_of(
    st.sampled_from([*FOLDERS, *FOLDERS, *FILES, *ODD_NAMES]).map(os.fsencode),
    st.binary(min_size=1, max_size=12).map(
        lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_").strip(b".") or b"_"
    ),
)
FILE_BYTES = st.one_of(st.sampled_from(FILES).map(os.fsencode), NAME_BYTES)
CONTENTS = st.one_of(st.sampled_from(PLAIN), PICTURE_BYTES)
LISTS = [
    b"",
    b"image,label\n1.png,cat\n",
    b"1.png\tcat\n",
    b"\xff\xfe",
    b"cat\ndog\n",
    b"1.png 0\n2.jpg 1\n",
    b'"',
    b"\x00",
]
KINDS = ["file"] * 6 + ["list", "pipe", "dangling", "loop", "link", "empty folder"]


def write_folder(data: st.DataObject, root: Path) -> Malformed:
    """A tree of images in classes, and below it anything that a file system may hold."""
    source = root / data.draw(st.sampled_from(["photos", "photos.png", "a b#%", "[1]", "{b}"]))
    source.mkdir()
    for label in data.draw(st.sampled_from([["cat", "dog"], ["train/cat", "test/cat"], ["a/b/c"], [], ["."]])):
        (source / label).mkdir(parents=True, exist_ok=True)
        for i in range(data.draw(st.sampled_from([1, 3, 55]))):
            (source / label / f"{i}.png").write_bytes(PLAIN[i % len(PLAIN)])
    for _ in range(data.draw(st.integers(0, 8))):
        _write_entry(data, os.fsencode(source))
    if data.draw(st.integers(0, 9)) == 0:
        _write_deep(source)
    level = data.draw(st.sampled_from([None, None, None, 0, 1, 2, 9]))
    return Malformed(source, {} if level is None else {"class_level": level}, count_files(source))


def _write_entry(data: st.DataObject, source: bytes) -> None:
    folder = b"/".join([source, *data.draw(st.lists(NAME_BYTES, max_size=3))])
    path, kind = folder + b"/" + data.draw(FILE_BYTES), data.draw(st.sampled_from(KINDS))
    content = data.draw(st.sampled_from(LISTS) if kind == "list" else CONTENTS)
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 (bytes)
        if kind in ("file", "list"):
            Path(os.fsdecode(path)).write_bytes(content)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "empty folder":
            os.mkdir(path)  # noqa: PTH102
        else:
            os.symlink({"dangling": b"nowhere", "loop": b".", "link": source}[kind], path)  # noqa: PTH211
    except OSError:  # a name that is taken, or too long
        return


def _write_deep(source: Path) -> None:
    """Folders in folders, until no path leads to the innermost."""
    there = os.open(source, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 240, dir_fd=there)
        inner = os.open("d" * 240, os.O_RDONLY, dir_fd=there)
        os.close(there)
        there = inner
    os.close(os.open("1.png", os.O_CREAT | os.O_WRONLY, dir_fd=there))
    os.close(there)


def count_files(source: Path) -> int:
    """The entries that are no folders, in folders that a path leads to, without hidden ones."""
    count = 0
    for _, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        count += sum(not name.startswith(".") for name in files)
    return count


def write_archive(data: st.DataObject, root: Path) -> Malformed:
    """A zip or tar whose members may leave the folder, come twice, or be no files; its bytes may be changed."""
    suffix = data.draw(st.sampled_from([".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".gz"]))
    names = [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(data.draw(st.sampled_from([1, 4, 55])))]
    odd = ["../evil.png", "/evil.png", "a/../../b.png", "C:\\a.png", "a\\b.png", "cat", "cat/0.png", "CAT/0.png", "CON"]
    members = [
        *names,
        *data.draw(st.lists(st.one_of(st.sampled_from([*odd, *FILES]), st.text(min_size=1)), max_size=4)),
    ]
    buffer = io.BytesIO()
    if suffix == ".zip":
        _write_zip(data, buffer, members)
    else:
        mode = {".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}.get(suffix, "w")
        _write_tar(data, buffer, members, mode)
    source = root / f"photos{suffix}"
    source.write_bytes(maybe_changed(data, buffer.getvalue()))
    return Malformed(source)


def _write_zip(data: st.DataObject, buffer: io.BytesIO, members: list[str]) -> None:
    pack = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(buffer, "w", pack) as archive:
        for i, name in enumerate(dict.fromkeys(members)):
            member = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
            member.compress_type = pack
            member.external_attr = data.draw(st.sampled_from([0, 0, 0o120777 << 16, 0o010644 << 16])) if i > 9 else 0
            archive.writestr(member, PLAIN[i % len(PLAIN)])


def _write_tar(data: st.DataObject, buffer: io.BytesIO, members: list[str], mode: str) -> None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"S", b"Z"]
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for i, name in enumerate(members):
            member = tarfile.TarInfo(name.encode("utf-8", "replace").decode())
            content = PLAIN[i % len(PLAIN)]
            member.size = len(content)
            if i > 7 and data.draw(st.integers(0, 7)) == 0:
                member.type, member.linkname, member.size = data.draw(st.sampled_from(kinds)), "../../x", 0
            archive.addfile(member, io.BytesIO(content if member.size else b""))


def write_shards(data: st.DataObject, root: Path) -> Malformed:
    """A tar of samples, of which some lack an image, have two, or a label that is none."""
    odd = [
        b"",
        b"cat",
        b"\xff\xfe",
        b"7",
        b"{",
        b"[1]",
        b'{"label": [1, 2]}',
        b'{"label": {"a": 1}}',
        b'{"label": null}',
    ]
    odd += [
        b"[" * 5000,
        b'{"label": 1, "w": 1e999}',
        b'{"label": "a", "w": "x"}',
        b'{"label": "a", "w": 5}',
        b"1 .5 .5 .1 .1",
    ]
    contents = st.one_of(st.sampled_from(odd), st.text(st.characters(codec="utf-8"), max_size=9).map(str.encode))
    members: list[tuple[str, bytes]] = []
    for i in range(data.draw(st.sampled_from([1, 5, 55]))):
        members += [(f"{i:03}.png", PLAIN[i % 10]), (f"{i:03}.json", json.dumps({"label": i % 2, "w": i}).encode())]
    for i in range(data.draw(st.integers(0, 6))):
        key = data.draw(st.sampled_from([f"9{i}", "a/1", "1.", "é", "000"]))
        members += [(f"{key}.{data.draw(st.sampled_from(['png', 'jpg', 'seg.png']))}", data.draw(CONTENTS))]
        members += [(f"{key}.{data.draw(st.sampled_from(['cls', 'json', 'txt', 'npy']))}", data.draw(contents))]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    source = root / data.draw(st.sampled_from(["train-0000.tar", "shards.tar", "val-{0..1}.tar"]))
    source.write_bytes(maybe_changed(data, buffer.getvalue()))
    return Malformed(source)
