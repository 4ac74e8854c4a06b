"""Atomic writing of files, and reading of text lines with line numbers."""

import codecs
import hashlib
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from seqkit.data.packed import FAULTS, FIRST, other_form, unpacked
from seqkit.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Opens a binary file that replaces `path` when the block ends, and does not when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_without(folder: Path, endings: Collection[str], fault: str) -> None:
    """Raises InputError, beginning with `fault`, for a folder of files that end so: none would be overwritten."""
    if folder.is_dir() and any(path.suffix in endings for path in folder.iterdir()):
        raise InputError(f"{fault}, got {folder}; name another")


PLOTS = (".png",)  # what a folder for plots must not hold
STDIN = Path("-")  # what names standard input to `read_stdin`'s callers


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file, plain or packed by gzip, bzip2 or xz, which its first bytes tell, whatever its name.

    It is opened once, so that a pipe such as bash's `<(zcat FILE)` is read from its beginning.
    """
    with open(path, "rb") as file:
        yield unpacked(file, file.peek(FIRST)[:FIRST])


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, text) of every line, plain or packed as `open_bytes` has it.

    Only a line feed ends a line, so that two halves of a parallel corpus stay parallel whatever other
    separators their texts hold; a carriage return before it and a byte order mark are dropped.
    Raises InputError with file and line for an unreadable file or bytes that are not UTF-8.
    """
    return _decoded(read_bytes_lines(path), str(path))


def read_stdin() -> Iterator[tuple[int, str]]:
    """Yields the lines of standard input as `read_lines` does. Raises InputError where nobody pipes anything in."""
    if sys.stdin.isatty():
        raise InputError("`-` must be piped in on standard input, got a terminal")
    sent = sys.stdin.buffer.read()
    name = "standard input"
    return _decoded(_lines(lambda: unpacked(io.BytesIO(sent), sent[:FIRST]), name), name)


def read_bytes_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields (number from 1, bytes) of every line as `read_lines` does, whatever its encoding."""
    return _lines(lambda: open_bytes(path), str(path))


def _decoded(lines: Iterator[tuple[int, bytes]], name: str) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            fault = f"byte {error.start} is not UTF-8; convert the file to UTF-8"
            raise InputError(f"{name}, line {number}: {fault}") from None


def _lines(opened: Callable[[], AbstractContextManager[IO[bytes]]], name: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with opened() as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if number == 1 and not line.endswith(b"\n") and b"\r" in line.strip():
                    raise InputError(
                        f"{name}: lines must end in line feeds, got carriage returns alone; convert the file"
                    )
                if number == 1 and (form := other_form(line)):
                    raise InputError(f"{name}: must be text in UTF-8, got {form}")
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except FAULTS as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read after line {number} ({reason})") from None


def unique_keys(pairs: list[tuple[str, Any]], place: str) -> dict[str, Any]:
    """Makes an object of JSON of its pairs. Raises InputError, beginning with `place`, for a key that comes twice."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"{place}: must have each key of an object once, got {twice!r} twice, with {pairs!r:.80}")
    return entry


def parse_json(text: str | bytes, place: str, *, finite: bool = True) -> Any:
    """Parses JSON. Raises InputError, beginning with `place`, for a fault, for a key of an object that comes twice, for
    nesting or numbers too long, and with `finite` for numbers that are not."""
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        load = strict_json if finite else _any_json
        found = load(text)
        if isinstance(found, dict) and text.count('":') == len(found) and '" :' not in text:
            return found  # keys are counted in a third of the time that looking at each takes
        return load(text, lambda pairs: unique_keys(pairs, place))
    except InputError:
        raise
    except json.JSONDecodeError as error:
        fault = f"a fault at column {error.colno}: {error.msg}"
    except RecursionError:
        fault = "brackets nested too deep"
    except ValueError as error:  # other bytes than UTF-8, more digits than Python reads, NaN
        fault = str(error).partition(";")[0]
    raise InputError(f"{place}: must be a JSON object, got {fault}")


def file_hash(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Reads a file of JSON. Raises InputError, naming it, as `parse_json` does, and where it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: must be a file of JSON, got {error.strerror}; correct the path") from None
    return parse_json(content, str(path))


def strict_json(text: str | bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """JSON as its standard has it: every number is finite. `hook` makes the objects of their pairs. Raises ValueError
    or RecursionError for a fault."""
    return json.loads(text, object_pairs_hook=hook, parse_float=_finite, parse_constant=_finite)


def _any_json(text: str | bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    return json.loads(text, object_pairs_hook=hook)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]}, which is no finite number")
    return value


def shown(value: Any) -> str:
    """Formats a value for an error: JSON, cut to stay on one line."""
    try:
        text = json.dumps(value, default=repr)
    except (ValueError, RecursionError):  # more digits than Python writes, or deep nesting
        text = "a number of too many digits, or nested deep"
    return text if len(text) <= 60 else text[:57] + "..."
