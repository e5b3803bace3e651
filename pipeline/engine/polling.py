"""Look at something again and again while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], None], *, every: float) -> Iterator[None]:
    """Call `look` in a thread of its own when the block begins and every so many seconds until it ends."""
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
