"""Shards: items a second from a folder, from shards, from shards behind an address, and by webdataset alone.

    python recipes/benchmarks/shard_speed.py [--items 100000] [--bytes 4000] [--address_items 2000]

Every item has a file of so many random bytes. Ours are read in the order of an epoch, a permutation, as training reads
them; webdataset reads one shard after the other, which is all that it can. Behind the address is a server of Python's
on this machine, a request an item. Of two readings the second is told: files are then in the system's memory.
"""

import functools
import http.server
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seqkit.data.manifest import Item, write_manifest
from seqkit.data.shard_writer import write_shards
from seqkit.data.shards import open_file
from seqkit.data.stored_manifest import open_manifest
from seqkit.find_data import find_data
from seqkit.flags import Parser, parse, run_cli

FOLDER, SHARD = 1000, 100_000_000


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that gives parts of files."""

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        part = self.headers.get("Range", "").removeprefix("bytes=")
        if not part:
            return super().do_GET()
        first, last = map(int, part.split("-"))
        with open(self.translate_path(self.path), "rb") as file:
            file.seek(first)
            content = file.read(last - first + 1)
        self.send_response(206)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None


def make_corpus(folder: Path, items: int, size: int) -> None:
    """Files of random bytes, a thousand a folder, and their manifest."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(items):
        path = folder / f"{number // FOLDER}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(size))
        made.append(Item(id=str(number), image=path, references=("a text",)))
    write_manifest(folder / "train.jsonl", made)


def read_all(data: Path, most: int) -> int:
    """Reads every item and its file in the order of an epoch; their number."""
    items = open_manifest(data / "train.jsonl")
    order = np.random.default_rng((0, 1)).permutation(len(items))[:most]
    for number in order.tolist():
        path = items[number].image
        assert path is not None
        with open_file(path) as file:
            file.read()
    return len(order)


def read_by_webdataset(data: Path) -> int:
    """Reads every sample of the shards in their order; their number."""
    import webdataset

    paths = sorted(map(str, data.glob("train-*.tar")))
    return sum(1 for _ in webdataset.WebDataset(paths, shardshuffle=False))


def rate(read: Callable[[], int]) -> float:
    """Items a second of the second time."""
    read()
    began = time.perf_counter()
    return read() / (time.perf_counter() - began)


def main(argv: Sequence[str]) -> None:
    parser = Parser("shard_speed", "Items a second from a folder, from shards, and by webdataset alone.")
    parser.add_argument("--items", type=int, default=100_000, help="items of the corpus (default: 100000)")
    parser.add_argument("--bytes", type=int, default=4000, help="bytes of an item's file (default: 4000)")
    parser.add_argument("--address_items", type=int, default=2000, help="items read by HTTP (default: 2000)")
    given = parse(parser, list(argv))
    with tempfile.TemporaryDirectory() as scratch:
        folder, packed = Path(scratch) / "folder", Path(scratch) / "packed"
        make_corpus(folder, given.items, given.bytes)
        began = time.perf_counter()
        write_shards(folder, packed, most=SHARD)
        print(f"written: {given.items / (time.perf_counter() - began):,.0f} items a second", flush=True)
        by_folder = rate(lambda: read_all(folder, given.items))
        handler = functools.partial(Ranges, directory=str(packed))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for name, found in (
            ("folder", by_folder),
            ("shards", rate(lambda: read_all(packed, given.items))),
            ("shards by webdataset alone", rate(lambda: read_by_webdataset(packed))),
            ("shards by HTTP", rate(lambda: read_all(find_data(address), given.address_items))),
        ):
            print(f"{name}: {found:,.0f} items a second, {found / by_folder:.2f} of the folder's", flush=True)
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(run_cli(main))
