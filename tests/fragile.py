"""Work for other processes, in a module that imports fast there."""

import os


def square(number: int) -> int:
    """Of 1 the end of the process, as a broken decoder brings it about."""
    if number == 1:
        os._exit(1)
    return number * number
