"""Files packed by gzip, bzip2 or xz, which their first bytes tell, whatever their names."""

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, cast

FIRST = 6  # bytes that tell
GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
BLOCK, MEMORY = 1 << 16, 1 << 28  # bytes read at once; bytes that xz may ask for, of which `xz -9` takes a quarter
FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError)  # of a damaged file
OTHERS = {
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x28\xb5\x2f\xfd": "a file packed by zstd; unpack it",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"\xff\xfe": "UTF-16; convert the file",
    b"\xfe\xff": "UTF-16; convert the file",
}


def unpacked(file: IO[bytes], first: bytes) -> IO[bytes]:
    """The content of an open file that begins with the bytes `first`. Reading it raises one of FAULTS for damage."""
    if first.startswith(GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if first.startswith(BZIP2):
        return cast(IO[bytes], bz2.BZ2File(file))
    return cast(IO[bytes], io.BufferedReader(_Xz(file))) if first.startswith(XZ) else file


def is_packed(first: bytes) -> bool:
    """Whether a file that begins with the bytes `first` is packed."""
    return first.startswith((GZIP, BZIP2, XZ))


def other_form(line: bytes) -> str:
    """What a file is whose first line is this and which is no text in UTF-8, with what to do; else nothing."""
    nulls = "NUL bytes, as UTF-16 and binary files have them; convert it" if 0 < len(line) <= 3 * line.count(0) else ""
    return next((form for begin, form in OTHERS.items() if line.startswith(begin)), nulls)


class _Xz(io.RawIOBase):
    """The content of an xz file, of whose header no more memory than MEMORY is taken, as the library's reader may."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.decoder: lzma.LZMADecompressor | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fills the buffer, from one stream after another."""
        found = b""
        while not found:
            more = b""
            if self.decoder is None or self.decoder.eof:
                more = (self.decoder.unused_data.lstrip(b"\0") if self.decoder else b"") or self.file.read(BLOCK)
                if not more:
                    return 0
                self.decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
            elif self.decoder.needs_input:
                more = self.file.read(BLOCK)
                if not more:
                    raise EOFError("Compressed file ended before its end")
            found = self.decoder.decompress(more, len(buffer))
        buffer[: len(found)] = found
        return len(found)
