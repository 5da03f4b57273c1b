"""Processes that simulate, and are gone when nobody needs them."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import torch

from napari_sparsessp.errors import OutputError, PredictionError
from napari_sparsessp.simulation.colony import simulate_colony
from napari_sparsessp.simulation.pool import open_colony
from napari_sparsessp.simulation.workers import ColonyJob, ColonyWorkers

SHAPE = (16, 32, 32)


def finished(workers, seed, changed):
    """Wait for a colony."""
    with changed:
        while workers.busy(seed):
            changed.wait(0.5)


def test_a_worker_makes_the_colony_of_its_seed(tmp_path):
    """The same to the bit as one thread makes anywhere; large seeds too."""
    changed = threading.Condition()
    workers = ColonyWorkers(ColonyJob(str(tmp_path), SHAPE, 2, "cpu"), 1, changed)
    seed = 2**32 + 3
    workers.ask(seed)
    finished(workers, seed, changed)
    workers.close()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        colony = simulate_colony(seed, SHAPE, looks=2)
    finally:
        torch.set_num_threads(threads)
    made = open_colony(tmp_path, seed)
    assert np.array_equal(made.brightfield, colony.brightfield.half().numpy())
    assert made.fluorescence.shape == (12, *SHAPE)


def test_what_goes_wrong_in_a_worker_is_one_line(tmp_path):
    changed = threading.Condition()
    job = ColonyJob(str(tmp_path / "a"), SHAPE, 1, "no such device")
    workers = ColonyWorkers(job, 1, changed)
    workers.ask(1)
    with pytest.raises(PredictionError, match="process that simulates") as caught:
        finished(workers, 1, changed)
    workers.close()
    assert "\n" not in str(caught.value)
    job = ColonyJob(str(tmp_path / "b"), SHAPE, 1, "cpu")
    workers = ColonyWorkers(job, 1, changed)
    (tmp_path / "b" / "1.brightfield.npy").mkdir()  # in the way
    workers.ask(1)
    with pytest.raises(OutputError, match="cannot write colony"):
        finished(workers, 1, changed)
    workers.close()


def test_closing_ends_the_process_at_once(tmp_path):
    """In the midst of a colony that would take minutes."""
    workers = ColonyWorkers(ColonyJob(str(tmp_path), (56, 640, 640), 9, "cpu"))
    before = set(psutil.Process().children())
    workers.ask(1)
    while not (mine := set(psutil.Process().children()) - before):
        time.sleep(0.01)
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < 2
    assert not any(one.is_running() for one in mine)


PARENT = """
import sys, time
from napari_sparsessp.simulation.workers import ColonyJob, ColonyWorkers
workers = ColonyWorkers(ColonyJob(sys.argv[1], (56, 640, 640), 9, "cpu"))
workers.ask(1)
while True:
    time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_worker_outlives_a_killed_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    known = psutil.Process(parent.pid)
    while not (workers := known.children()):
        assert parent.poll() is None
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs(workers, timeout=1000)
    assert gone
    assert not alive
