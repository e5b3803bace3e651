"""A source of which most cannot be used stops a refresh, with the reason, an example and what to change."""

from pathlib import Path

import pytest

from pipeline.config.dataset import DatasetSettings
from pipeline.data.usable_counts import check_share
from pipeline.pixels.unusable import Unusable
from pipeline.source.errors import UnusableSource
from tests.support.data.own_data import draw_files, load, own_settings, to_table, write_folder


def refuse(count: int) -> list[tuple[str, Unusable]]:
    return [(f"{i}.png", Unusable("missing file", "photos/0.png")) for i in range(count)]


def test_more_refused_than_used_stops_with_the_commonest_reason_and_a_limit_that_would_let_it_pass() -> None:
    own = DatasetSettings(source=Path("photos"))
    refused = [("z.png", Unusable("truncated")), *refuse(243)]
    check_share(refused, 244, own)
    with pytest.raises(UnusableSource) as raised:
        check_share(refused, 243, own)
    assert str(raised.value) == (
        "244 of 487 images of the dataset photos (50.1 %) cannot be used: results on the others would say little "
        "about it. The most common reason (243 of them) is 'missing file', as for 0.png (photos/0.png). Fix these "
        "images, or what [dataset] says of them; to go on without them, set max_refused = 0.51 in [dataset]."
    )
    assert raised.value.refused == refused
    check_share(refused, 243, own.model_copy(update={"max_refused": 0.51}))


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_a_smaller_limit_only_makes_the_headline_say_so(limit: float) -> None:
    own = DatasetSettings(source=Path("photos"), max_refused=limit)
    check_share(refuse(100), 100, own)
    with pytest.raises(UnusableSource, match=r"^101 of 201 images"):
        check_share(refuse(101), 100, own)


def test_a_folder_of_mostly_broken_images_stops_and_one_with_a_few_counts_all_that_can_be_used(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own", draw_files(520))
    for i in range(521):
        (folder / "disc" / f"broken{i:03}.png").write_bytes(b"no image")
    with pytest.raises(
        UnusableSource, match=r"^521 of 1,041 images .* reason \(521 of them\) is 'not an image', as for"
    ):
        load(own_settings(tmp_path, folder))
    (folder / "disc" / "broken000.png").unlink()
    dataset = load(own_settings(tmp_path, folder, samples=500))
    assert (len(dataset), dataset.usable, len(dataset.quarantine)) == (500, 520, 520)


def test_a_table_that_names_mostly_missing_files_stops_before_any_image_is_decoded(tmp_path: Path) -> None:
    files = draw_files(240)
    write_folder(tmp_path, {name: (b"no image", label) for name, (_, label) in list(files.items())[:110]})
    to_table(files).drop("image").rename({"name": "path"}).write_csv(tmp_path / "labels.csv")
    with pytest.raises(UnusableSource, match=r"^130 of 240 images .* is 'missing file', as for"):
        load(own_settings(tmp_path, tmp_path / "labels.csv"))
