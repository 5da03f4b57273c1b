"""`sparsessp train` on colonies that are never the same."""

import signal
import subprocess
import sys

import psutil
import pytest
import torch
import yaml

from napari_sparsessp.models.library import load_model

CONFIG = {
    "model": {"id": "mine", "structures": ["dna", "nucleolus"]},
    "network": {
        "depth": 8, "encoder_widths": [4, 8], "encoder_blocks": [1, 1],
        "decoder_widths": [8, 8, 12], "folded_width": 8, "standardised": True,
    },
    "recipe": {"patch": [16, 16], "batch": 2, "precision": "fp32"},
    "ratios": [2],
    "data": {
        "simulated": {
            "fresh": True, "slots": 2, "every": 4, "held_out": 1, "looks": 1,
            "seed": 3, "shape": [16, 32, 32],
        }
    },
    "budget": {"steps": 16, "save_steps": 4},
    "device": "cpu",
}  # fmt: skip

KILLED = """
import os, signal, sys
import psutil
import torch
from napari_sparsessp.cli.main import app_main
from napari_sparsessp.training import loop
torch.set_num_threads(1)

def die(self, entry=None, note=""):
    if self.at.step == 6:  # two steps after the first state
        children = psutil.Process().children()
        print(*[child.pid for child in children], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

loop._Run._emit = die
app_main(["train", sys.argv[1]])
"""


def written(folder, name):
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"out": name, **CONFIG}))
    return file


def left_by(config):
    """Start a training that is killed after its first state; give its processes."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(config)],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.slow  # one and a half trainings, with processes that import torch
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_fresh_colonies_survive_a_kill_bit_for_bit(sparsessp, tmp_path):
    """The same colonies at the same steps, and no process is left behind."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        code, _, err = sparsessp("train", written(tmp_path, "whole"))
        assert code == 0, err
        assert "2 stacks to learn from, 1 to validate on" in err
        config = written(tmp_path, "killed")
        state = tmp_path / "killed" / "state.pt"
        children = left_by(config)
        assert torch.load(state, weights_only=True)["progress"]["step"] == 4
        code, _, err = sparsessp("train", config)
        assert code == 0, err
    finally:
        torch.set_num_threads(threads)
    _, alive = psutil.wait_procs(children, timeout=1000)
    assert not alive
    assert not [
        one for one in psutil.Process().children(recursive=True)
        if "napari_sparsessp.simulation.worker" in one.cmdline()
    ]  # fmt: skip
    whole, again = (
        torch.load(tmp_path / name / "state.pt", weights_only=True)
        for name in ("whole", "killed")
    )
    for part in ("network", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, again[part][name])
    card = load_model(tmp_path / "whole" / "mine.safetensors").card
    assert "2 at a time, one of them replaced after every 4 steps" in card.trained_on
    colonies = tmp_path / "whole" / "colonies"
    learnt = {path.name for path in (colonies / "fresh").glob("*.npy")}
    kept = {path.name for path in (colonies / "validation").glob("*.npy")}
    assert "7.fluorescence.npy" in learnt
    assert len(kept) == 2
    assert not learnt & kept
