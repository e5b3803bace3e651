"""Errors written for people: what happened, which value, what to do. Shown without a traceback."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNFORESEEN = 70
EXIT_RETRY_LATER = 75
EXIT_INTERRUPTED = 130


def first_line(said: BaseException | str) -> str:
    """The first line of what a package, the machine or a command says, at most 200 characters; else an error's name."""
    silent = "no reason given" if isinstance(said, str) else type(said).__name__
    return (str(said).strip().splitlines() or [silent])[0][:200]


class UserError(Exception):
    """Something the reader of the message can mend; `exit_code` is what the command returns."""

    exit_code = EXIT_FAILED
    status = "failed"


class UsageError(UserError):
    """A setting or argument that cannot be right."""

    exit_code = EXIT_USAGE


class RetryLater(UserError):
    """Nothing is wrong, but not now: another refresh holds the lock, it is not due, or its time is over."""

    exit_code = EXIT_RETRY_LATER
    status = "retry later"


class Unforeseen(UserError):
    """An error that no code was written for: of latentlake, of a package, or by data that neither expects."""

    exit_code = EXIT_UNFORESEEN
    status = "unforeseen error"


class Unprinted(UserError):
    """What a command says cannot be written to where it goes; `reader_left` where whoever read it has read enough."""

    def __init__(self, reason: str, *, reader_left: bool = False) -> None:
        super().__init__(f"What the command says cannot be written ({reason}): free space, or write it elsewhere.")
        self.reason, self.reader_left = reason, reader_left


class LakeError(UserError):
    """The lake cannot be read or written as asked."""


class BrokenContract(LakeError):
    """What was to be written is not what its table promises: the same would come out again."""


class FilterError(UsageError):
    """A filter that this run cannot answer."""
