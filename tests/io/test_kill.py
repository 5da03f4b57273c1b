"""kill -9 at any moment, and resumed: the same bytes as of a run that nobody killed."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from thin import save_thin

WRITER = Path(__file__).with_name("killed_writer.py")


def _start(model, out):
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(model), str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )


def _kill(run, after, seconds):
    """Kill a run so long after so many tiles: anywhere in what comes next."""
    for line in run.stdout:
        if line.startswith("finishing") or int(line.split()[0]) > after:
            break
    time.sleep(seconds)
    run.kill()
    run.communicate()


@pytest.mark.slow  # five processes import torch: about 15 s
@pytest.mark.skipif(sys.platform == "win32", reason="another kill")
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(tmp_path):
    chance = random.Random(5)
    model = save_thin(tmp_path / "thin.safetensors")
    whole, out = tmp_path / "whole.ome.zarr", tmp_path / "out.ome.zarr"
    run = _start(model, whole)
    said, _ = run.communicate()
    assert run.returncode == 0
    total = len(said.splitlines()) - 1
    for share in (0, 0.4, 0.7):
        while True:
            _kill(_start(model, out), share * total, chance.uniform(0, 0.02))
            if not out.exists():
                break
            shutil.rmtree(out)  # it was done before the kill came: once more
    run = _start(model, out)
    said, _ = run.communicate()
    assert run.returncode == 0
    assert len(said.splitlines()) < total, "what was done is not done again"
    one, other = (zarr.open_array(path / "0", mode="r")[...] for path in (whole, out))
    assert one.tobytes() == other.tobytes()
    assert np.abs(one).max() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.ome.zarr",
        "thin.safetensors",
        "whole.ome.zarr",
    ]
