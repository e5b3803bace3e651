"""Archives are unpacked once, completely and only into their folder, or refused in one sentence."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lake.errors import UserError
from pipeline.source.archives.unpack import Limits, is_archive, unpack

FILES = {"photos/cat/1.png": b"first" * 500, "photos/dog/2.png": b"second" * 700, "photos/dog/ä ö.png": b"third"}
HIDDEN = {"__MACOSX/photos/cat/._1.png": b"x", "photos/.DS_Store": b"x", "photos/dog/Thumbs.db": b"x"}
TARS = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
KINDS = ["zip", *TARS]


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write(path: Path, files: dict[str, bytes]) -> Path:
    kind = path.name.partition(".")[2].lower()
    return write_zip(path, files) if kind == "zip" else write_tar(path, files, TARS[kind])


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def silent(said: str) -> None:
    """Nobody listens."""


def refusal(archive: Path, cache: Path, limits: Limits | None = None) -> str:
    """The sentence with which an archive is refused, after which nothing lies in the cache."""
    with pytest.raises(UserError) as refused:
        unpack(archive, cache, silent, limits)
    assert content(cache / "archives") == {} or all(name.endswith(".lock") for name in content(cache / "archives"))
    sentence = str(refused.value)
    assert archive.name in sentence and sentence.endswith(".") and "\n" not in sentence
    return sentence


# --- what is read


@pytest.mark.parametrize("kind", [*KINDS, "ZIP", "TAR.GZ"])
def test_every_kind_of_archive_gives_its_files_without_hidden_ones(kind: str, tmp_path: Path) -> None:
    archive = write(tmp_path / f"a.{kind}", FILES | HIDDEN)
    assert is_archive(archive)
    folder = unpack(archive, tmp_path / "cache", silent)
    assert content(folder) == FILES and folder.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize("name", ["photos", "a.csv", "a.csv.gz", "zip", "a.parquet", "tar.png"])
def test_other_files_are_no_archives(name: str) -> None:
    assert not is_archive(Path(name))


def test_the_content_tells_the_kind_where_the_name_is_wrong(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.zip", FILES, "w:gz")
    assert content(unpack(archive, tmp_path / "cache", silent)) == FILES


def test_a_tar_without_the_mark_of_its_format_is_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("cat/1.png")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"old"))
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    raw[257:265] = bytes(8)
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:512]))
    (tmp_path / "a.tar").write_bytes(raw)
    assert content(unpack(tmp_path / "a.tar", tmp_path / "cache", silent)) == {"cat/1.png": b"old"}


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path: Path) -> None:
    archive, said = write(tmp_path / "a.zip", FILES), list[str]()
    first = unpack(archive, tmp_path / "cache", said.append)
    assert unpack(archive, tmp_path / "cache", said.append) == first
    assert said == ["Unpacking a.zip (0.0 MB).", "Unpacked a.zip: 3 files."]
    write(archive, FILES | {"photos/cat/4.png": b"fourth"})
    second = unpack(archive, tmp_path / "cache", said.append)
    assert len(content(second)) == 4 and not first.exists() and len(said) == 4


def test_archives_of_the_same_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "photos.zip", {f"{name}/1.png": name.encode()})
    one, other = (unpack(tmp_path / name / "photos.zip", tmp_path / "cache", silent) for name in ("a", "b"))
    assert content(one) == {"a/1.png": b"a"} and content(other) == {"b/1.png": b"b"}


def test_what_a_killed_unpacking_left_is_not_taken_for_the_archive(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.tar", FILES)
    folder = unpack(archive, tmp_path / "cache", silent)
    left = folder.rename(folder.parent / "partial")
    (left / "photos" / "cat" / "1.png").write_bytes(b"fir")
    (left / "photos" / "half.png").write_bytes(b"")
    assert content(unpack(archive, tmp_path / "cache", silent)) == FILES and not left.exists()


def test_of_a_file_that_was_packed_twice_the_later_one_counts(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"cat/1.png": b"old"})
    with tarfile.open(archive, "a") as more:
        member = tarfile.TarInfo("cat/1.png")
        member.size = 5
        more.addfile(member, io.BytesIO(b"newer"))
    assert content(unpack(archive, tmp_path / "cache", silent)) == {"cat/1.png": b"newer"}


@pytest.mark.parametrize(
    ("raw", "name", "said"),
    [
        ("Möwe".encode("cp437"), "Möwe", None),
        ("Möwe".encode(), "Möwe", "utf-8"),
        ("кошка".encode("cp866"), "кошка", "cp866"),
        ("ねこの写真".encode("cp932"), "ねこの写真", "cp932"),
        ("maçã".encode("cp850"), "maçã", "cp850"),
        ("smørrebrød".encode("cp850"), "smørrebrød", "cp850"),
        ("Größe".encode("cp1252"), "Größe", "cp1252"),
        ("gruszka żółta".encode("cp852"), "gruszka żółta", "cp852"),
        ("香蕉树".encode("gb18030"), "香蕉树", "gb18030"),
        ("病害叶片".encode("gb18030"), "病害叶片", "gb18030"),
        ("狗狗照片".encode("big5"), "狗狗照片", "big5"),
        ("고양이".encode("cp949"), "고양이", "cp949"),
    ],
)
def test_names_of_files_are_read_in_the_encoding_of_their_writer(
    raw: bytes, name: str, said: str | None, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"x" * len(raw) + "/1.png": b"1", "cat/2.png": b"2"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    heard = list[str]()
    assert set(content(unpack(path, tmp_path / "cache", heard.append))) == {f"{name}/1.png", "cat/2.png"}
    assert [line for line in heard if "are read as" in line] == (
        [f"The names of the files in a.zip are read as {said}; if they look wrong, unpack it yourself."] if said else []
    )


def test_backslashes_of_a_zip_from_windows_are_folders(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"cat\\1.png": b"1"})
    assert content(unpack(archive, tmp_path / "cache", silent)) == {"cat/1.png": b"1"}


def test_a_file_that_a_tar_names_twice_by_a_hard_link_is_copied(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"cat/1.png": b"same"})
    with tarfile.open(archive, "a") as more:
        member = tarfile.TarInfo("dog/2.png")
        member.type, member.linkname = tarfile.LNKTYPE, "cat/1.png"
        more.addfile(member)
    folder = unpack(archive, tmp_path / "cache", silent)
    assert content(folder) == {"cat/1.png": b"same", "dog/2.png": b"same"}


# --- what is refused


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_was_cut_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    noise = bytes((i * i * 7 + i // 3) % 251 for i in range(3000))
    whole = write(tmp_path / f"whole.{kind}", {"cat/1.png": noise, "dog/2.png": noise[::-1]}).read_bytes()
    end = 2 * (512 + 3072) if kind == "tar" else len(whole) - 1
    cuts = sorted(
        {*range(600, end, max(end // 12, 1)), end, *((512 + 3072, 512 + 3072 + 100) if kind == "tar" else ())}
    )
    assert len(cuts) > 3 or kind != "tar"
    for cut in cuts:
        (tmp_path / f"a.{kind}").write_bytes(whole[:cut])
        assert "cut off" in refusal(tmp_path / f"a.{kind}", tmp_path / "cache"), cut


def test_damage_is_refused(tmp_path: Path) -> None:
    noise = bytes((i * i * 7 + i // 3) % 251 for i in range(3000))
    for kind in ("zip", "tgz", "tar.bz2", "tar.xz"):
        raw = bytearray(write(tmp_path / f"a.{kind}", {"cat/1.png": noise}).read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        (tmp_path / f"a.{kind}").write_bytes(raw)
        assert "damaged" in refusal(tmp_path / f"a.{kind}", tmp_path / "cache")
    raw = bytearray(write(tmp_path / "a.tar", {"cat/1.png": noise, "cat/2.png": noise}).read_bytes())
    raw[512 + 3072 + 10] ^= 0xFF  # in the second header
    (tmp_path / "a.tar").write_bytes(raw)
    assert "damaged" in refusal(tmp_path / "a.tar", tmp_path / "cache")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../x.png", "/tmp/x.png", "cat/../../x.png", "C:/x.png"])
def test_names_that_leave_the_folder_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    archive = write(tmp_path / f"a.{kind}", FILES | {name: b"x"})
    assert f"would write outside its folder ({name})" in refusal(archive, tmp_path / "cache")
    assert not list(tmp_path.rglob("x.png"))


def test_backslashes_do_not_leave_the_folder_either(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"cat\\..\\..\\x.png": b"x"})
    assert "outside its folder" in refusal(archive, tmp_path / "cache")


def _symbolic_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cat")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)


def _hard_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cat.png")
        member.type, member.linkname = tarfile.LNKTYPE, "missing.png"
        archive.addfile(member)


def _symbolic_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("cat")
        member.create_system, member.external_attr = 3, 0o120777 << 16
        archive.writestr(member, "/etc")


@pytest.mark.parametrize(
    ("pack", "kind"),
    [(_symbolic_tar, "tar"), (_hard_tar, "tar"), (_symbolic_zip, "zip")],
    ids=["symbolic in tar", "hard in tar", "symbolic in zip"],
)
def test_links_are_refused(pack: Callable[[Path], None], kind: str, tmp_path: Path) -> None:
    pack(tmp_path / f"a.{kind}")
    assert "holds a link (cat" in refusal(tmp_path / f"a.{kind}", tmp_path / "cache")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("pipe")
        member.type = tarfile.FIFOTYPE
        archive.addfile(member)
    assert "a device or pipe (pipe)" in refusal(tmp_path / "a.tar", tmp_path / "cache")


def test_encryption_is_said(tmp_path: Path) -> None:
    raw = write_zip(tmp_path / "a.zip", {"cat/1.png": b"secret"}).read_bytes()
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = raw.index(header) + at
        raw = raw[:position] + b"\x01" + raw[position + 1 :]
    (tmp_path / "a.zip").write_bytes(raw)
    assert "is encrypted (cat/1.png): unpack it with its password" in refusal(tmp_path / "a.zip", tmp_path / "cache")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_much_is_refused_with_its_number(kind: str, tmp_path: Path) -> None:
    archive = write(tmp_path / f"a.{kind}", {f"cat/{i}.png": bytes(100_000) for i in range(9)})
    assert "holds more than 200,000 bytes" in refusal(archive, tmp_path, Limits(total=200_000))
    assert "holds more than 8 files" in refusal(archive, tmp_path, Limits(files=8))
    assert "are kept: free some space" in refusal(archive, tmp_path, Limits(spare=10**18))
    if kind != "tar":
        assert "more than 5 times its" in refusal(archive, tmp_path, Limits(ratio=5, harmless=300_000))
    assert len(content(unpack(archive, tmp_path, silent, Limits(ratio=1)))) == 10 - 1


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("name")
        member.type, member.size = tarfile.GNUTYPE_LONGNAME, 40 * 2**20
        archive.addfile(member, io.BytesIO(bytes(40 * 2**20)))
    assert "a header of 41,943,040 bytes" in refusal(tmp_path / "a.tgz", tmp_path / "cache")


def test_archives_in_an_archive_are_said(tmp_path: Path) -> None:
    inner = write(tmp_path / "train.zip", FILES).read_bytes()
    for kind in ("zip", "tgz"):
        only = write(tmp_path / f"a.{kind}", {"all/train.zip": inner, "all/test.zip": inner} | HIDDEN)
        sentence = refusal(only, tmp_path / "cache")
        assert "only holds other archives (all/train.zip, all/test.zip): unpack it" in sentence
    both = write(tmp_path / "b.zip", {"train.zip": inner, "1.png": b"1"})
    assert len(content(unpack(both, tmp_path / "cache", silent))) == 2


def test_an_archive_without_files_is_said(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        assert "holds no files" in refusal(write(tmp_path / f"a.{kind}", HIDDEN), tmp_path / "cache")
        assert "holds no files" in refusal(write(tmp_path / f"b.{kind}", {}), tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4", "(7z x a.7z)"),
        ("a.rar", b"Rar!\x1a\7\0", "(unrar x a.rar)"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd\0", "(tar --zstd -xf a.tar.zst)"),
        ("a.zip.001", b"PK\x03\x04", "one part of several, which is not read: unpack it (7z x a.zip.001)"),
        ("a.z01", b"PK\x07\x08", "(zip -s 0 a.zip --out whole.zip)"),
        ("a.zip", b"\n<!DOCTYPE html><html>", "a web page, not an archive"),
        ("a.tar", b"", "an empty file, not an archive"),
        ("a.tar", b"\x89PNG" * 200, "damaged or another kind of file, not an archive"),
        ("a.tgz", b"\x1f\x8b" + bytes(100), "damaged"),
    ],
)
def test_what_cannot_be_unpacked_says_what_it_is(name: str, start: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start)
    assert is_archive(tmp_path / name) and said in refusal(tmp_path / name, tmp_path / "cache")


def test_compressed_data_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(gzip.compress(b"image,label\n" * 200))
    assert "damaged or cut off" in refusal(tmp_path / "a.tgz", tmp_path / "cache")


def test_a_missing_archive_and_one_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "a.zip", tmp_path / "cache")
    conflict = write_tar(tmp_path / "b.tar", {"cat": b"file", "cat/1.png": b"below it"})
    assert "cannot be unpacked (" in refusal(conflict, tmp_path / "cache")
    long = write_tar(tmp_path / "c.tar", {"n" * 300 + ".png": b"1"})
    assert "File name too long" in refusal(long, tmp_path / "cache")
