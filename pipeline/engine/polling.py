"""Call a function periodically while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], None], *, every: float) -> Iterator[None]:
    """Call `look` in a background thread on entry to the block and every `every` seconds until the block ends."""
    done = threading.Event()

    def watch() -> None:
        look()
        while not done.wait(every):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
