"""The one error that means the caller made a mistake (bad file, bad value, bad flag), and what damaged files raise."""

import struct
import zlib

DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)  # what decoders of others raise over broken files; a reader adds what its own decoder has beside them


class InputError(ValueError):
    """One line that says what was wrong, where, and what to do; commands print it and exit with status 2."""
