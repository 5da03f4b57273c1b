"""Two processes train one network."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.checkpoints import RunFolder
from napari_sparsessp.training.distributed import Group, join_group
from napari_sparsessp.training.patches import cut_batch

HERE = Path(__file__).parent


def together(folder, count=2):
    """Run processes with the environment that ``accelerate launch`` gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, HERE / "grouped.py", folder],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]
    try:
        assert [one.wait() for one in running] == [0] * count
    finally:
        for one in running:
            one.kill()
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(count)]


@pytest.mark.slow  # two processes import torch and accelerate
def test_two_processes_learn_the_same_and_one_of_them_writes(tmp_path):
    pytest.importorskip("accelerate", reason="the extra `distributed` is not installed")
    one, other = together(tmp_path)
    assert one["count"] == other["count"] == 2
    for part in ("first", "again"):  # trained, and gone on with
        for name, tensor in one[part].items():
            if tensor.is_floating_point():
                assert torch.equal(tensor, other[part][name]), name
    assert (one["reports"], other["reports"]) == (60, 0)
    files = RunFolder(tmp_path)
    log = files.entries()
    assert [entry["step"] for entry in log] == [20, 40, 60, 80]  # written by one
    assert log[2]["loss"] < 0.97 * log[0]["loss"]
    assert files.best()["r2"] == 0.0  # the main process's score
    weights = torch.load(tmp_path / "state.pt", weights_only=True)["network"]
    assert weights.keys() == one["again"].keys()  # as one process alone saves them
    for name, tensor in weights.items():
        assert torch.equal(tensor, one["again"][name])


def test_together_they_cut_the_patches_of_one_large_batch(pair, plain):
    whole = cut_batch([pair], plain, 4, seed=1, step=7)
    parts = [cut_batch([pair], plain, 2, seed=1, step=7, rank=rank) for rank in (0, 1)]
    assert torch.equal(whole.source, torch.cat([part.source for part in parts]))
    assert torch.equal(whole.target, torch.cat([part.target for part in parts]))


def test_one_process_needs_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    group = join_group("cpu")
    assert type(group) is Group
    assert (group.main, group.count, group.device) == (True, 1, None)


def test_several_processes_need_accelerate_and_a_device_each(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="cuda:1 cannot be that of several processes"):
        join_group("cuda:1")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"install napari-sparsessp\[distributed\]"):
        join_group("cpu")
