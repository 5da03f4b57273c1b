"""Disks that fill, clocks that jump, folders that may not be written, two at once."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hostile.desk import everything, run
from napari_sparsessp import load_volume

COMMAND = [sys.executable, "-c", "from napari_sparsessp.cli.main import *; app_main()"]


def _to(desk, name):
    arguments = desk.predict(desk.good())
    arguments[arguments.index(desk.out)] = desk.path(name)
    return arguments


@contextmanager
def small_disk(size):
    """No file grows beyond so many bytes, in this process."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on Windows")
@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
@pytest.mark.parametrize("size", [0, 4_000])
def test_a_disk_that_fills_leaves_nothing_under_the_final_name(desk, name, size):
    arguments = _to(desk, name)
    before = everything(desk.folder)
    with small_disk(size):
        outcome = run(arguments)
    assert outcome.code == 2, outcome.err
    assert len(outcome.lines) == 1, outcome.err
    assert "disk is full" in outcome.lines[0] or "cannot write" in outcome.lines[0]
    assert everything(desk.folder) == before
    again = run(arguments)
    assert again.code == 0, again.err


@pytest.mark.parametrize("jump", [-1e6, 1e9])
def test_a_clock_that_jumps_changes_nothing(desk, jump, monkeypatch):
    """Also the steady clocks: a laptop that slept, a virtual machine that moved."""
    for name in ("time", "monotonic", "perf_counter"):
        clock, calls = getattr(time, name), []

        def jumping(clock=clock, calls=calls):
            calls.append(1)
            return clock() + (jump if len(calls) % 2 else 0)

        monkeypatch.setattr(time, name, jumping)
    outcome = run(desk.predict(desk.good()))
    assert outcome.code == 0, outcome.err
    assert np.isfinite(load_volume(desk.out).numpy()).all()


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
@pytest.mark.parametrize("folder", ["closed", "/proc/sys"])
def test_a_folder_that_may_not_be_written_is_named(desk, name, folder):
    if folder == "closed" and (sys.platform == "win32" or os.geteuid() == 0):
        pytest.skip("root may write everywhere")
    if folder == "/proc/sys" and not Path(folder).is_dir():
        pytest.skip("Linux has such a folder, and root may not write there either")
    arguments = _to(desk, f"{folder}/{name}")
    desk.path(folder).mkdir(mode=0o500, exist_ok=True)
    outcome = run(arguments)
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert folder in outcome.lines[0]


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_of_two_processes_with_one_output_one_wins(desk, name):
    """The other one gets one line; the result is whole and is not mixed."""
    alone = run(_to(desk, f"alone_{name}"))
    assert alone.code == 0, alone.err
    before = everything(desk.folder)
    arguments = [str(one) for one in _to(desk, name)]
    both = [
        subprocess.Popen(
            [*COMMAND, arguments[0], "--quiet", *arguments[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 2], said
    loser = next(text for text in said if text)
    assert loser.count("\n") == 1
    assert loser.startswith("sparsessp: error: ")
    found, wanted = (load_volume(desk.path(n)) for n in (name, f"alone_{name}"))
    assert np.array_equal(found.numpy(), wanted.numpy())
    extra = {entry for entry, _ in everything(desk.folder) - before}
    assert all(Path(entry).parts[0] == name for entry in extra), extra
