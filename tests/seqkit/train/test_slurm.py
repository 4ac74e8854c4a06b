"""The SLURM script of the guide, run with stand-ins for what a cluster gives."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqkit.cli import main

GUIDE = Path(__file__).parents[3] / "docs" / "many_gpus.md"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")


def test_the_script_launches_torchrun_on_every_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = re.search(r"```sh\n(#!/bin/bash\n.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert script
    subprocess.run(["bash", "-n"], input=script[1], text=True, check=True)
    stands_in = {"scontrol": "printf 'n1\\nn2\\n'", "srun": 'printf "%s\\n" "$OMP_NUM_THREADS" "$@"'}
    for name, does in stands_in.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    given = {"JOB_NODELIST": "n[1-2]", "JOB_NUM_NODES": "2", "JOB_ID": "7", "CPUS_PER_TASK": "16", "GPUS_ON_NODE": "4"}
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | {f"SLURM_{name}": said for name, said in given.items()}
    run = subprocess.run(["bash"], input=script[1], env=environment, capture_output=True, text=True, check=True)
    threads, launcher, *words = run.stdout.splitlines()
    assert (threads, launcher) == ("4", "torchrun")
    flags, module, command = words[: words.index("-m")], words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    from torch.distributed.run import get_args_parser

    args = get_args_parser().parse_args([*flags, "script"])
    assert (args.nnodes, args.nproc_per_node) == ("2", "4")
    assert (args.rdzv_backend, args.rdzv_endpoint, args.rdzv_id) == ("c10d", "n1:29500", "7")
    assert module == "seqkit" and "--resume" in command
    real = [{"DATA": str(tmp_path / "none"), "RUN": str(tmp_path / "run")}.get(word, word) for word in command]
    assert main(real) == 2  # all flags are known; the data are not there
    assert str(tmp_path / "none") in capsys.readouterr().err
