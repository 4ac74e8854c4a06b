"""Damage to files, drawn from a seed: the mutator of all tests that read damaged files (tests/test_fuzz.py)."""

import io
import re
import zipfile
from random import Random

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
NUMBERS = [
    b"-1", b"0", b"65535", b"2147483648", b"-9223372036854775809", b"9" * 400, b"1e400", b"-1e308", b"1e308", b"NaN",
    b"Infinity", b"nan", b"0." + b"0" * 400 + b"1", b"1e-400", b"0x10", b"1_000", b"true", b"null", b"", b'"7"', b"[]",
    b"1000000000",
]  # fmt: skip
WORDS = [
    b"\xef\xbb\xbf",
    b"\0",
    b"\xff\xfe",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"{",
    b"]",
    b'"',
    b"<",
    b"(",
]
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]


def mutate(content: bytes, rng: Random) -> bytes:
    """`content` with one to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(KINDS)(content, rng)
    return content


def mutate_within(content: bytes, rng: Random) -> bytes:
    """The same of a zip archive (.npz, .pt): one member is damaged, and the archive is whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    chosen, buffer = rng.randrange(len(members)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, own) in enumerate(members):
            archive.writestr(name, mutate(own, rng) if number == chosen else own)
    return buffer.getvalue()


def flip(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 60)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    return bytes(changed)


def truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def insert(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    added = rng.choice((rng.randbytes(rng.choice((1, 4, 300))), rng.choice(WORDS), bytes(rng.choice((1, 8, 5000)))))
    return content[:place] + added + content[place:]


def delete(content: bytes, rng: Random) -> bytes:
    first, last = _span(content, rng)
    return content[:first] + content[last:]


def repeat(content: bytes, rng: Random) -> bytes:
    first, last = _span(content, rng)
    return content[:last] + content[first:last] * rng.choice((1, 2, 50)) + content[last:]


def replace_number(content: bytes, rng: Random) -> bytes:
    """A number in writing becomes one that is huge, negative, none, or of 400 digits."""
    found = list(NUMBER.finditer(content, 0, 1 << 16))
    if not found:
        return replace_integer(content, rng)
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(NUMBERS) + content[match.end() :]


def replace_integer(content: bytes, rng: Random) -> bytes:
    """One to eight bytes become an integer at the end of its range; most often in the head of the file."""
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    place = rng.randrange(1 + min(len(content), rng.choice((64, 512, len(content)))))
    value = (rng.choice(EXTREMES) % 256**width).to_bytes(width, order)  # type: ignore[arg-type]
    return content[:place] + value + content[place + width :]


def nest(content: bytes, rng: Random) -> bytes:
    """Brackets nested deep, opened alone or closed again."""
    place, depth = rng.randrange(len(content) + 1), rng.choice((30, 1_000, 4_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"<a>", b"</a>"), (b"- ", b"")))
    return content[:place] + opened * depth + closed * (depth * rng.randrange(2)) + content[place:]


def swap_lines(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def swap_words(content: bytes, rng: Random) -> bytes:
    """Two neighbors of what stands between commas, spaces and colons change places, so that types are mixed up."""
    parts = re.split(rb"([,: \t]+)", content, maxsplit=400)
    if len(parts) >= 3:
        place = rng.randrange(0, len(parts) - 2, 2)
        parts[place], parts[place + 2] = parts[place + 2], parts[place]
    return b"".join(parts)


def _span(content: bytes, rng: Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + rng.choice((1, 4, 40, 400)))


KINDS = (
    flip, truncate, insert, delete, repeat, replace_number, replace_number, replace_integer, nest, swap_lines,
    swap_words,
)  # fmt: skip
