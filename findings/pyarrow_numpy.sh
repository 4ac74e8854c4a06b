#!/usr/bin/env bash
# pyarrow 26.0.1 beside numpy 1.26.4: pip installs the two together and `pip check` finds nothing broken, as the package
# names no NumPy among its requirements; then `import pyarrow` raises an ImportError that asks for NumPy 2.0 or newer.
# pyarrow 25.0.1 is imported and reads Parquet beside the same NumPy.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 26.0.1 25.0.1; do
  python3 -m venv "$version"
  "$version/bin/pip" install --quiet --no-cache-dir numpy==1.26.4 "pyarrow==$version"
  "$version/bin/pip" check
done
"26.0.1/bin/python" -c 'import pyarrow' 2> error && exit 1
tail -1 error | tee /dev/stderr | grep -q "^ImportError: pyarrow requires NumPy 2.0 or newer, found 1.26.4"
"25.0.1/bin/python" - <<'PYTHON'
import numpy
import pyarrow
import pyarrow.parquet as parquet

parquet.write_table(pyarrow.table({"x": [1.5, 2.5]}), "x.parquet")
found = parquet.read_table("x.parquet")["x"].to_numpy()
print("pyarrow", pyarrow.__version__, "numpy", numpy.__version__, found)
assert found.tolist() == [1.5, 2.5]
PYTHON
