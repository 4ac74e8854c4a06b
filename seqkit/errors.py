"""The one error that means the caller made a mistake: bad file, bad value, bad flag."""


class InputError(ValueError):
    """One line that says what was wrong, where, and what to do; commands print it and exit with status 2."""
