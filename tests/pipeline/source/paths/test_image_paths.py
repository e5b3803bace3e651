"""The texts of a column of images lead to the right files, to a reason, or to a question, and never to a wrong file."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.pixels.decode import Unusable
from pipeline.source.addresses.explain_source import explain_source
from pipeline.source.paths import file_index, image_paths
from pipeline.source.paths.image_paths import OUTSIDE, ResolvedPaths, outside, resolve_paths

ONES = [f"{label}/{number}.jpg" for number in range(4) for label in ("cat", "dog")]


def put(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def resolve(folder: Path, *texts: str | None, allow_outside: bool = False) -> ResolvedPaths:
    return resolve_paths(list(texts), folder, allow_outside=allow_outside)


def found(folder: Path, *texts: str | None, allow_outside: bool = False) -> list[str | None]:
    """The file of each text relative to the folder, after checking that it exists."""
    images = resolve(folder, *texts, allow_outside=allow_outside).images
    assert all(image.exists() for image in images if isinstance(image, Path))
    return [os.path.relpath(image, folder) if isinstance(image, Path) else image for image in images]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put(tmp_path / "photos", *ONES)


# --- spellings


def test_paths_that_are_right_are_taken_without_a_word(photos: Path) -> None:
    resolved = resolve(photos, *ONES, None, "", "  ")
    assert resolved.images == [*(photos / name for name in ONES), None, None, None]
    assert not resolved.refused
    assert not (resolved.notes.remarks or resolved.notes.doubts)


@pytest.mark.parametrize(
    "change",
    [
        lambda path, root: path.replace("/", "\\"),
        lambda path, root: f" {path}\t",
        lambda path, root: f'"{path}"',
        lambda path, root: f"./{path}",
        lambda path, root: f".\\{path}".replace("/", "\\"),
        lambda path, root: path.replace("/", "//"),
        lambda path, root: path.replace("/", "/../cat/../" + path[:3] + "/"),
        lambda path, root: quote(path, safe=""),
        lambda path, root: f"file://{root}/{path}",
        lambda path, root: f"file://localhost{root}/{path}",
        lambda path, root: f"FILE:{root}/{path}",
        lambda path, root: f"{root}/{path}",
        lambda path, root: f"../photos/{path}",
        lambda path, root: f"/{path}",
        lambda path, root: f"/old machine/photos/{path}",
        lambda path, root: f"C:\\data\\photos\\{path}".replace("/", "\\"),
        lambda path, root: f"C:/data/{path}",
        lambda path, root: f"file:///C:/data/{path}",
        lambda path, root: f"\\\\server\\share\\{path}".replace("/", "\\"),
        lambda path, root: f"//server/share/{path}",
        lambda path, root: f"photos/{path}",
        lambda path, root: f"../../elsewhere/{path}",
        lambda path, root: f"$DATA/{path}",
        lambda path, root: path.replace(".jpg", ".JPG"),
        lambda path, root: path.title(),
        lambda path, root: path.removesuffix(".jpg"),
        lambda path, root: f"/old/{path}".upper(),
        lambda path, root: path.replace(".jpg", ".png"),
        lambda path, root: path.replace(".jpg", ".dcm"),
        lambda path, root: f"{quote('/old machine/ä')}/{path}",
    ],
)  # fmt: skip
def test_every_spelling_leads_to_the_same_files(photos: Path, change: Callable[[str, Path], str]) -> None:
    assert found(photos, *(change(path, photos) for path in ONES)) == ONES


@pytest.mark.parametrize("home", ["~", "$HOME", "${HOME}"])
def test_a_home_folder_is_understood(photos: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert found(photos, *(f"{home}/photos/{name}" for name in ONES)) == ONES


def test_a_name_that_exists_as_it_is_written_is_not_decoded(tmp_path: Path) -> None:
    names = [
        "a%20b.jpg",
        "a b.jpg",
        "c\\d.jpg",
        "c/d.jpg",
        "~1.jpg",
        "e..f.jpg",
        " g.jpg",
        "g.jpg",
        "h\ni.jpg",
        "file:j",
    ]
    assert found(put(tmp_path, *names), *names) == names


def test_percent_encoding_is_decoded_for_names_that_do_not_exist_otherwise(tmp_path: Path) -> None:
    assert found(put(tmp_path, "a b.jpg", "Möwe.jpg"), "a%20b.jpg", "M%C3%B6we.jpg") == ["a b.jpg", "Möwe.jpg"]


def test_accents_may_be_encoded_differently_in_files_and_folders(tmp_path: Path) -> None:
    names = ["Möwe/é1.jpg", "Möwe/é2.jpg"]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    folder = put(tmp_path, *decomposed)
    assert found(folder, *(unicodedata.normalize("NFC", name) for name in names)) == decomposed
    assert "accents" in resolve(folder, unicodedata.normalize("NFC", names[0])).notes.remarks[0]


def test_addresses_stay_text(tmp_path: Path) -> None:
    addresses = ["https://host/cat/1.jpg", "s3://bucket/1.jpg", "gs://bucket/a b.jpg", "HTTP://host/1.jpg?size=1"]
    resolved = resolve(tmp_path, *addresses, f" {addresses[0]} ")
    assert resolved.images == [*addresses, addresses[0]]
    assert not resolved.refused
    assert not resolved.notes.doubts


# --- ids


def test_ids_are_found_in_one_folder_and_a_remark_says_where(tmp_path: Path) -> None:
    put(tmp_path, "train/0a3f.jpg", "train/1b2c.jpg", "train/0a3f.json", "labels.csv", ".cache/0a3f.jpg")
    resolved = resolve(tmp_path, "0a3f", "1b2c")
    assert resolved.images == [tmp_path / "train/0a3f.jpg", tmp_path / "train/1b2c.jpg"]
    assert resolved.notes.remarks == ["2 ids are found as train/<id>.jpg: 0a3f is train/0a3f.jpg."]


def test_ids_are_found_in_several_folders(tmp_path: Path) -> None:
    files = [f"part_{1 + number % 2}/ISIC_{number}.v1.jpg" for number in range(6)]
    put(tmp_path, *files)
    assert found(tmp_path, *(f"ISIC_{number}.v1" for number in range(6))) == files
    assert found(tmp_path, *(f"ISIC_{number}.v1.jpg" for number in range(6))) == files
    assert "in 2 folders" in resolve(tmp_path, "ISIC_0.v1", "ISIC_1.v1").notes.remarks[0]


def test_an_id_that_fits_two_files_is_refused_with_both_and_the_others_are_found(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/1.jpg", "a/2.jpg", "b/3.jpg", "b/3.png")
    resolved = resolve(tmp_path, "1", "2", "3", "1.jpg")
    assert resolved.images == [None, tmp_path / "a/2.jpg", None, None]
    assert resolved.refused == {
        0: Unusable("ambiguous name", "a/1.jpg and b/1.jpg"),
        2: Unusable("ambiguous name", "b/3.jpg and b/3.png"),
        3: Unusable("ambiguous name", "a/1.jpg and b/1.jpg"),
    }
    assert any("write their folders" in remark for remark in resolved.notes.remarks)


def test_a_longer_path_decides_between_files_of_the_same_name(tmp_path: Path) -> None:
    put(tmp_path, "x/a/1.jpg", "x/b/1.jpg")
    assert found(tmp_path, "b/1.jpg", "a/1") == ["x/b/1.jpg", "x/a/1.jpg"]


def test_ids_that_differ_only_in_capital_letters_are_kept_apart(tmp_path: Path) -> None:
    put(tmp_path, "train/aB.jpg", "train/Ab.jpg")
    assert found(tmp_path, "Ab", "aB", "AB") == ["train/Ab.jpg", "train/aB.jpg", None]
    assert resolve(tmp_path, "AB").refused[0].reason == "ambiguous name"


def test_two_names_never_lead_to_one_file_by_a_guess(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg")
    resolved = resolve(tmp_path, "1.jpg", "1.JPG", "1")
    assert resolved.images == [tmp_path / "1.jpg", None, None]
    assert {resolved.refused[row].reason for row in (1, 2)} == {"ambiguous name"}


def test_one_name_in_several_rows_is_no_contradiction(tmp_path: Path) -> None:
    assert found(put(tmp_path, "train/1.jpg"), "1", "1") == ["train/1.jpg"] * 2


def test_masks_with_the_same_names_are_left_aside_and_counted(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{n}.jpg" for n in range(3)), *(f"annotations/trimaps/{n}.png" for n in range(3)))
    resolved = resolve(tmp_path, "0", "1", "2")
    assert resolved.images == [tmp_path / f"images/{n}.jpg" for n in range(3)]
    (aside,) = resolved.notes.asides
    assert (aside.kind, aside.count, aside.example) == ("segmentation masks", 3, "annotations/trimaps/0.png")


def test_a_table_of_masks_only_finds_them(tmp_path: Path) -> None:
    assert found(put(tmp_path, "masks/1.png"), "1") == ["masks/1.png"]


def test_numbers_without_their_zeros_are_found_if_no_name_is(tmp_path: Path) -> None:
    put(tmp_path, "train/0007.jpg", "train/0012.jpg")
    assert found(tmp_path, "7", "12") == ["train/0007.jpg", "train/0012.jpg"]
    assert found(tmp_path, "7.0", "12.0") == ["train/0007.jpg", "train/0012.jpg"]
    assert found(put(tmp_path, "train/5.jpg"), "5", "0005", "7") == ["train/5.jpg", None, None]


def test_another_extension_is_not_taken_where_the_written_one_occurs(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.png")
    assert found(tmp_path, "1.png", "2.png") == [None, "2.png"]


def test_a_folder_is_no_image_although_its_name_is_an_id(tmp_path: Path) -> None:
    put(tmp_path, "0a3f/0a3f.jpg", "0a3f/mask.txt")
    assert found(tmp_path, "0a3f") == ["0a3f/0a3f.jpg"]


# --- beginnings that changed


def test_a_changed_beginning_is_said_once_with_an_example(photos: Path) -> None:
    resolved = resolve(photos, *(f"/old/machine/photos/{name}" for name in ONES))
    assert resolved.notes.remarks == [
        "8 paths are found in the table's folder without their beginning /old/machine/photos/: "
        "/old/machine/photos/cat/0.jpg is cat/0.jpg."
    ]


def test_a_beginning_is_not_dropped_if_it_tells_images_apart(tmp_path: Path) -> None:
    put(tmp_path, "images/1.jpg", "images/2.jpg")
    assert found(tmp_path, "cat/1.jpg", "dog/2.jpg") == [None, None]
    assert found(tmp_path, "/data/train/1.jpg", "/data/test/2.jpg") == [None, None]


def test_a_beginning_is_not_dropped_if_other_paths_are_right_as_written(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "cat/2.jpg")
    assert found(tmp_path, "cat/1.jpg", *["dog/2.jpg"] * 300) == ["cat/1.jpg", *[None] * 300]


def test_images_of_one_split_are_not_taken_from_another(tmp_path: Path) -> None:
    put(tmp_path, "train/1.jpg", "train/2.jpg")
    assert found(tmp_path, "/data/test/1.jpg", "/data/test/2.jpg") == [None, None]
    assert found(tmp_path, "/data/training/1.jpg", "/data/training/2.jpg") == ["train/1.jpg", "train/2.jpg"]


def test_paths_of_two_machines_are_found_together(photos: Path) -> None:
    texts = [f"C:\\data\\{name}" if number % 2 else f"/home/anna/{name}" for number, name in enumerate(ONES)]
    assert found(photos, *texts) == ONES


def test_a_stray_path_does_not_keep_the_others_from_being_found(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(200)]
    put(tmp_path, *(f"new/{name}" for name in names))
    texts = [*(f"/old/photos/{name}" for name in names), "/somewhere/else.jpg"]
    assert found(tmp_path, *texts) == [*(f"new/{name}" for name in names), None]


def test_missing_files_among_moved_ones_stay_missing(photos: Path) -> None:
    resolved = resolve(photos, *(f"/old/{name}" for name in ONES), "/old/cat/9.jpg", "/old/bird/1.jpg")
    assert resolved.images[-2:] == [None, None]
    assert resolved.refused == {8: OUTSIDE, 9: OUTSIDE}


# --- outside the folder


@pytest.fixture
def lists(photos: Path) -> Path:
    return put(photos.parent / "lists", "list.csv")


@pytest.mark.parametrize("start", ["../photos", "..\\photos", "{root}/photos", "file://{root}/photos"])
def test_files_outside_are_refused_in_the_same_words_whether_they_exist(lists: Path, start: str) -> None:
    start = start.replace("{root}", str(lists.parent))
    resolved = resolve(lists, f"{start}/cat/1.jpg", f"{start}/cat/absent.jpg", f"{start}/none/1.jpg")
    assert resolved.images == [None] * 3
    assert resolved.refused == dict.fromkeys(range(3), OUTSIDE)


def test_files_outside_are_found_if_allowed(lists: Path) -> None:
    for start in ("../photos", str(lists.parent / "photos"), "../lists/../photos", f"file://{lists.parent}/photos"):
        texts = [f"{start}/{name}" for name in ONES]
        assert found(lists, *texts, allow_outside=True) == [f"../photos/{name}" for name in ONES]
    resolved = resolve(lists, "../photos/cat/1.jpg", "../photos/cat/9.jpg", allow_outside=True)
    assert resolved.refused == {1: Unusable("missing file", "../photos/cat/9.jpg")}


def test_most_paths_outside_raise_the_question_of_the_setting(lists: Path) -> None:
    (doubt,) = resolve(lists, "../photos/cat/1.jpg", "/etc/hostname", "a.jpg").notes.doubts
    assert (doubt.setting, doubt.suggestion) == ("allow_outside", True)
    assert doubt.sentence.startswith("2 of the 3 files")
    assert not resolve(lists, "../photos/cat/1.jpg", allow_outside=True).notes.doubts


@pytest.mark.parametrize("change", ["photos/{}", "{}", "/old/photos/{}", "D:/x/{}"])
def test_images_beside_the_folder_of_the_table_are_found_only_if_allowed(lists: Path, change: str) -> None:
    texts = [change.format(name) for name in ONES]
    asked = resolve(lists, *texts)
    assert asked.images == [None] * 8
    assert found(lists, *texts, allow_outside=True) == [f"../photos/{name}" for name in ONES]
    if change[0] in "p{":
        (doubt,) = asked.notes.doubts
        assert doubt.sentence.startswith("None of the 8 files")
        assert asked.refused[0] == Unusable("missing file", texts[0])


def test_the_folder_above_is_named_where_files_are_found_in_it(lists: Path) -> None:
    put(lists.parent, "thumbs/0.png", "flat/0.jpg")
    resolved = resolve(lists, "0", allow_outside=True)
    assert resolved.refused[0].reason == "ambiguous name"
    resolved = resolve(lists / "v1", *(f"/old/{name}" for name in ONES), allow_outside=True)
    assert resolved.images == [lists.parent / "photos" / name for name in ONES]
    assert resolved.notes.remarks == [
        "8 paths are found in ../../photos/ without their beginning /old/: /old/cat/0.jpg is ../../photos/cat/0.jpg."
    ]


def test_thumbnails_are_left_aside_but_nothing_is_picked_among_images(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "thumbs/1.jpg", "a/2.jpg", "b/2.jpg", "thumbs/2.jpg")
    resolved = resolve(tmp_path, "1", "2")
    assert resolved.images == [tmp_path / "a/1.jpg", None]
    assert resolved.refused == {1: Unusable("ambiguous name", "a/2.jpg and b/2.jpg")}
    assert [(aside.kind, aside.count) for aside in resolved.notes.asides] == [("thumbnails", 1)]


def test_files_with_a_doubled_extension_are_found(tmp_path: Path) -> None:
    assert found(put(tmp_path, "1.jpg.jpg", "2.jpg.jpg"), "1.jpg", "2.jpg") == ["1.jpg.jpg", "2.jpg.jpg"]


def test_what_lies_outside_does_not_change_what_is_said(tmp_path: Path) -> None:
    full, empty = put(tmp_path / "full", "secret/1.jpg"), put(tmp_path / "empty", "x")
    answers = []
    for root in (full, empty):
        folder = put(root / "lists", "a.csv")
        resolved = resolve(folder, "../secret/1.jpg", "..%2Fsecret/1.jpg", "secret/1", "1", f"{root}/secret/1.jpg")
        answers.append((resolved.refused, [doubt.setting for doubt in resolved.notes.doubts], resolved.notes.remarks))
    assert answers[0] == answers[1]


def test_a_link_in_the_folder_may_lead_out_but_is_not_searched(tmp_path: Path) -> None:
    put(tmp_path / "disk", "1.jpg")
    folder = put(tmp_path / "set", "list.csv")
    (folder / "photos").symlink_to(tmp_path / "disk")
    (folder / "loop").symlink_to(folder)
    assert resolve(folder, "photos/1.jpg").images == [folder / "photos/1.jpg"]
    assert resolve(folder, "1").images == [None]
    assert resolve(folder, "1", allow_outside=True).images == [folder / "photos/1.jpg"]


def test_outside_judges_the_path_as_it_is_written(tmp_path: Path) -> None:
    inner = put(tmp_path / "set", "1.jpg")
    (tmp_path / "alias").symlink_to(inner)
    assert not outside(Path("cat/1.jpg"), inner)
    assert not outside(Path("../set/1.jpg"), inner)
    assert not outside(inner / "x/../1.jpg", inner)
    assert not outside(inner / "1.jpg", tmp_path / "alias")
    assert outside(Path("../1.jpg"), inner)
    assert outside(Path("/etc/passwd"), inner)
    assert outside(tmp_path / "settings/1.jpg", inner)
    assert outside(inner, inner)


def test_the_folder_of_the_table_may_be_relative_or_a_link(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert resolve(Path(), "cat/1.jpg", str(photos / "dog/1.jpg")).images == [Path("cat/1.jpg"), Path("dog/1.jpg")]
    (photos.parent / "alias").symlink_to(photos)
    assert found(photos.parent / "alias", str(photos / "cat/1.jpg")) == ["cat/1.jpg"]


# --- what cannot be a file


NO_FILES = [
    *("a\0b.jpg", "a%00b.jpg", "x" * 5_000, "a/" * 4_000 + "1.jpg", "a\nb.jpg", "\ud800.jpg", "\udcff/1.jpg", "nan"),
    *(".", "..", "/", "~", "~nobody-at-all/1.jpg", "C:", "C:\\", "\\\\", "\\\\server", "//", "file:", "file://", "%"),
    *(
        "cat",
        "cat/",
        "'",
        "1.jpg/",
        "cat/0.jpg/1.jpg",
        "$HOME",
        "%2e%2e%2f",
        "::",
        "data:image/png;base64,AAAA",
        "%ZZ%F",
    ),
]


@pytest.mark.parametrize("text", NO_FILES)
@pytest.mark.parametrize("allow_outside", [False, True])
def test_texts_that_name_no_file_are_refused_without_an_error(photos: Path, text: str, allow_outside: bool) -> None:
    resolved = resolve(photos, text, "cat/1.jpg", allow_outside=allow_outside)
    assert resolved.images == [None, photos / "cat/1.jpg"]
    (why,) = resolved.refused.values()
    assert why.reason in {"missing file", "invalid path", "outside the folder", "ambiguous name"}
    assert why.detail.isprintable()
    assert len(why.detail) < 200


def test_pipes_and_dangling_links_are_left_to_the_decoder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert resolve(tmp_path, "pipe.jpg", "gone").images == [tmp_path / "pipe.jpg", tmp_path / "gone.jpg"]


def test_files_that_are_not_there_are_named_and_most_missing_are_said(photos: Path) -> None:
    resolved = resolve(photos, "cat/1.jpg", "bird\\1.jpg", "bird/2.jpg")
    assert resolved.refused == {1: Unusable("missing file", "bird/1.jpg"), 2: Unusable("missing file", "bird/2.jpg")}
    assert resolved.notes.remarks[-1].startswith("2 of the 3 files that the table names are not found")
    assert not resolved.notes.doubts


def test_more_files_than_can_be_searched_are_said_and_nothing_is_guessed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file_index.FileIndex.of(photos, follow_links=False, max_files=len(ONES)) is not None
    assert file_index.FileIndex.of(photos, follow_links=False, max_files=len(ONES) - 1) is None
    monkeypatch.setattr(image_paths, "MAX_FILES", len(ONES) - 1)
    resolved = resolve(photos, "cat/1.jpg", "dog/1")
    assert resolved.images == [photos / "cat/1.jpg", None]
    assert "more than 7 files" in resolved.notes.remarks[0]


def test_a_table_without_any_path_says_nothing(tmp_path: Path) -> None:
    assert resolve(tmp_path) == ResolvedPaths([])
    assert resolve(tmp_path, None, "") == ResolvedPaths([None, None])
    assert resolve(tmp_path / "absent", "1.jpg").images == [None]


# --- sources


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("https://host/photos.parquet", "is an address: download it"),
        ("hf://datasets/a/b/train.parquet", "is an address"),
        ("C:\\data\\photos", "in WSL it is /mnt/c/data/photos"),
        ("d:/photos", "in WSL it is /mnt/d/photos"),
        ("\\\\server\\share\\photos", "mount the share //server/share"),
        ("$HOME/photos", "write ~/photos"),
        ("${HOME}/photos", "write ~/photos"),
        ("%USERPROFILE%\\photos", "write ~/photos"),
        ("$PHOTO_DISK/photos", "write /mnt/disk/photos"),
        ("/data/$UNKNOWN_NAME/photos", "write the whole path"),
        ("me@cluster:/data/photos", "lies on another machine"),
        ('"/data/photos"', "quotation marks around its path: write /data/photos"),
        (" /data/photos ", "blanks around its path: write /data/photos"),
        ("~nobody-at-all/photos", "home folder of ~nobody-at-all is not known"),
        ("", "is empty"),
        ("a\0b", "null byte"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_source_that_names_nothing_here_is_explained(source: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTO_DISK", "/mnt/disk")
    sentence = explain_source(source)
    assert sentence is not None
    assert says in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("source", ["photos", "~/photos", "../a b/photos.csv", "file:///data/photos", "/data/100%/x"])
def test_a_source_that_may_exist_needs_no_explanation(source: str) -> None:
    assert explain_source(source) is None


def test_a_source_that_exists_is_never_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("$HOME", "C:\\data", "'quoted'", "a@b:c"):
        assert explain_source(name) is not None or name == "a@b:c"
        put(tmp_path, name)
        assert explain_source(name) is None
