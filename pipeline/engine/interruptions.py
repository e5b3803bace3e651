"""Ctrl+C, and what a service manager, `timeout` or a closed terminal sends: all of them interrupt the work."""

import signal
from types import FrameType

OTHERS = (signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def watch() -> None:
    """Let the others raise `KeyboardInterrupt` as Ctrl+C does; one that is ignored, as by `nohup`, stays so."""
    for number in OTHERS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def find_signal() -> signal.Signals:
    """What interrupted this process."""
    return signal.Signals((_received or [signal.SIGINT])[0])


def ignore() -> None:
    """Let nothing interrupt the end of the process."""
    for number in (signal.SIGINT, *OTHERS):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    _received.append(number)
    raise KeyboardInterrupt
