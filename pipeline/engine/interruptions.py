"""Signals that interrupt the work: Ctrl+C, and those sent by service managers, `timeout` and closed terminals."""

import signal
from types import FrameType

OTHERS = (signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def watch() -> None:
    """Make SIGTERM and SIGHUP raise `KeyboardInterrupt`, like Ctrl+C; ignored ones (as under `nohup`) stay so."""
    for number in OTHERS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def find_signal() -> signal.Signals:
    """The signal that interrupted this process; SIGINT if none was recorded."""
    return signal.Signals((_received or [signal.SIGINT])[0])


def ignore() -> None:
    """Ignore all of these signals, so that nothing interrupts the shutdown of the process."""
    for number in (signal.SIGINT, *OTHERS):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    _received.append(number)
    raise KeyboardInterrupt
