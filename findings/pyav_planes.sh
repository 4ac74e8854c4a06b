#!/usr/bin/env bash
# PyAV 18.1.0 on sound of eight channels that are stored in planes, as decoders of AAC and Opus give 7.1: `frame.planes`
# counts more planes than there are channels, so that an array of the frame would not be the sound; this script only
# counts. Seven channels and fewer are right.
# Expected: eight planes for 7.1. A way round: `av.AudioResampler(frame.format.packed, ...)` first, which gives one
# plane. Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir av==18.1.0 numpy==2.3.5
cd "$folder"
cat > planes.py <<'PYTHON'
import av
import numpy as np

found = {}
for layout in ("5.1", "6.1", "7.1"):
    count = av.AudioLayout(layout).nb_channels
    with av.open("a.mka", "w") as file:
        sound = file.add_stream("aac", rate=48_000, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096 * count), np.int16), "s16", layout)
        frame.sample_rate = 48_000
        file.mux([*sound.encode(frame), *sound.encode(None)])
    with av.open("a.mka") as file:
        frame = next(file.decode(audio=0))
        assert frame.format.is_planar and frame.layout.nb_channels == count
        found[layout] = count, len(frame.planes)
        packed = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate).resample(frame)
        assert len(packed[0].planes) == 1 and packed[0].to_ndarray().shape == (1, count * frame.samples)
print("PyAV", av.__version__, {name: f"{count} channels, {planes} planes" for name, (count, planes) in found.items()})
assert found["5.1"] == (6, 6) and found["6.1"] == (7, 7)
assert found["7.1"][1] > found["7.1"][0] == 8
PYTHON
"$folder/venv/bin/python" planes.py
