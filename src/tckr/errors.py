"""The one error a user can cause: printed without a traceback.

Every message says what was found, what was expected and what to do. Broken invariants of our own use `assert`; anything
else may crash.
"""


class UserError(Exception):
    """Report a problem that the user can fix; the command line prints the message and exits with status 2."""
