"""Errors written for users: what happened, which value, what to do. Shown without a traceback."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNFORESEEN = 70
EXIT_RETRY_LATER = 75
EXIT_INTERRUPTED = 130


def first_line(message: BaseException | str) -> str:
    """Return the first line of a message or exception, at most 200 characters; the type if an exception has no text."""
    silent = "no reason given" if isinstance(message, str) else type(message).__name__
    return (str(message).strip().splitlines() or [silent])[0][:200]


class UserError(Exception):
    """Something that the user can fix; `exit_code` is the exit status of the command."""

    exit_code = EXIT_FAILED
    status = "failed"


class UsageError(UserError):
    """An invalid setting or argument."""

    exit_code = EXIT_USAGE


class RetryLater(UserError):
    """Nothing is wrong, but try later: another refresh holds the lock, none is due, or the time budget is used up."""

    exit_code = EXIT_RETRY_LATER
    status = "retry later"


class Unforeseen(UserError):
    """An error that no code anticipates: a bug in latentlake or a package, or data that neither expects."""

    exit_code = EXIT_UNFORESEEN
    status = "unforeseen error"


class Unprinted(UserError):
    """The output of a command cannot be written; `reader_left` if its reader has closed the pipe."""

    def __init__(self, reason: str, *, reader_left: bool = False) -> None:
        super().__init__(
            f"The output of the command cannot be written ({reason}): free some space, or send it elsewhere."
        )
        self.reason, self.reader_left = reason, reader_left


class LakeError(UserError):
    """The lake cannot be read or written as requested."""


class BrokenContract(LakeError):
    """Rows that violate the contract of their table; retrying would produce the same rows."""


class FilterError(UsageError):
    """A filter that cannot be applied to this run."""
