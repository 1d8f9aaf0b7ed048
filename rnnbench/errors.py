"""The one exception that reaches a user as a sentence instead of a traceback."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something that the user gave is wrong; the message says what, where and what to do.

    The command line turns it into one line and exit status 2, pytest into its usage error, 4.
    """
