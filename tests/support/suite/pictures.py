"""Pictures of every page for the documentation: `make pictures` writes `docs/reference/pictures/*.png`.

The lake should hold two runs of CIFAR-10 with the preset `quick`, so that Compare has something to compare.
"""

import argparse
import io

from PIL import Image

from pages.ui.session.navigation import ENTRIES
from tests.support.paths import REPOSITORY
from tests.support.servers.browser import chromium, open_page, serve

FOLDER = REPOSITORY / "docs" / "reference" / "pictures"
WIDTH, HEIGHT = 1400, 900
COLOURS = 128
"""Enough for a page; the file is a third as large as with all colours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", default="data/lake")
    FOLDER.mkdir(exist_ok=True)
    with serve(parser.parse_args().lake) as address, chromium() as browser:
        for entry in ENTRIES:
            page = open_page(browser, f"{address}/{entry.path}", width=WIDTH, height=HEIGHT, scheme="light")
            with Image.open(io.BytesIO(page.screenshot())) as picture:
                small = picture.convert("RGB").quantize(COLOURS)
            small.save(FOLDER / f"{entry.name}.png", optimize=True)
            page.context.close()


if __name__ == "__main__":
    main()
