"""Errors written for people: what happened, which value, what to do. Shown without a traceback."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_RETRY_LATER = 75


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


class LakeError(UserError):
    """The lake cannot be read or written as asked."""


class FilterError(UsageError):
    """A filter that this run cannot answer."""
