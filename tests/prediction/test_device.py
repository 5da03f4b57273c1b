"""What is free: the machine's memory, what a container leaves, a GPU's."""

import sys

import psutil
import pytest

from napari_sparsessp.prediction import device
from napari_sparsessp.prediction.device import free_bytes, group_left

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="groups of processes are Linux's"
)


@pytest.fixture
def root(tmp_path):
    """`root(groups, files)`: a machine with these control groups."""

    def make(groups, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


@linux
@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        pytest.param(
            "0::/job\n",
            {
                "job/memory.max": "1000\n",
                "job/memory.current": "700\n",
                # Pages of files that the group can give back are free.
                "job/memory.stat": "anon 500\ninactive_file 150\n",
            },
            [450],
            id="second version",
        ),
        pytest.param(
            "7:cpu:/x\n4:memory:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "1000",
                "memory/job/memory.usage_in_bytes": "700",
                "memory/job/memory.stat": "total_inactive_file 50",
                "memory/memory.limit_in_bytes": str(2**63 - 4096),  # none
                "memory/memory.usage_in_bytes": "9000",
            },
            [350],
            id="first version",
        ),
        pytest.param(
            "0::/user/job",
            {
                "user/job/memory.max": "max",
                "user/job/memory.current": "10",
                "user/memory.max": "500",
                "user/memory.current": "480",
                "memory.max": "800",
                "memory.current": "900",
            },
            [20, 0],
            id="each group around has a limit",
        ),
        pytest.param(
            "0::/docker/abc",  # the host's path, which is not there
            {"memory.max": "1000", "memory.current": "100"},
            [900],
            id="in a container the mount is the group",
        ),
    ],
)
def test_the_limits_of_groups_are_read(root, groups, files, left):
    assert group_left(root(groups, files)) == left


@linux
@pytest.mark.parametrize("groups", ["", "nonsense", "0::/", "0::/../..", "a:b"])
def test_strange_or_missing_groups_bound_nothing(root, groups, tmp_path):
    assert group_left(root(groups, {})) == []
    assert group_left(tmp_path / "nowhere") == []


def test_the_least_of_all_bounds_counts(monkeypatch):
    monkeypatch.setattr(device, "group_left", lambda: [12345, 2**50])
    assert free_bytes("cpu") == 12345
    monkeypatch.setattr(device, "group_left", list)
    assert 0 < free_bytes("cpu") <= psutil.virtual_memory().total


def test_a_torch_that_is_being_loaded_is_not_there_yet(monkeypatch):
    """To load it, or to wake a GPU, would freeze a dock, which plans on each change."""
    import torch

    assert device.loaded_torch() is torch
    monkeypatch.setattr(torch.__spec__, "_initializing", True, raising=False)
    assert device.loaded_torch() is None
    assert free_bytes("cuda:0") is None
    assert free_bytes("mps") is None
    assert device.planned_device("auto") == "cpu"
    assert device.planned_device("cuda:1") == "cuda:1"
    assert device.planned_precision("auto", "cpu") == "fp32"


def test_what_torch_keeps_of_a_gpu_is_free_to_it(monkeypatch):
    import torch

    assert free_bytes("cuda:0") is None  # asleep
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    assert free_bytes("cuda:0") == 1200

    def lost(_):
        raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert free_bytes("cuda:0") is None


def test_an_apple_gpu_shares_the_memory(monkeypatch):
    import torch

    for name, size in (("recommended_max", 900), ("current_allocated", 200)):
        monkeypatch.setattr(
            torch.mps, f"{name}_memory", lambda n=size: n, raising=False
        )
    assert free_bytes("mps") == 700
