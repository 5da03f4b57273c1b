"""A stock of colonies that follows from the step."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import numpy as np
import psutil
import pytest
import torch

from napari_sparsessp.errors import OutputError, PredictionError
from napari_sparsessp.simulation import pool
from napari_sparsessp.simulation.colony import simulate_colony
from napari_sparsessp.simulation.pool import (
    ColonyJob,
    ColonyWorkers,
    FreshColonies,
    fill_at_once,
    open_colony,
)
from napari_sparsessp.tasks import Cancelled

SHAPE = (2, 3, 4)


class Instant:
    """Workers that make arrays of the seed's value at once, or never."""

    made: list[int] = []
    never: set[int] = set()
    opened = 0

    def __init__(self, job, count=1):
        self.job = job
        type(self).opened += 1

    def make(self, seed):
        future = Future()
        if seed in self.never:
            return future
        self.made.append(seed)
        for kind, channels in (("brightfield", self.job.looks), ("fluorescence", 12)):
            array = np.full((channels, *self.job.shape), seed, np.float16)
            np.save(f"{self.job.folder}/{seed}.{kind}.npy", array)
        future.set_result(None)
        return future

    def close(self):
        type(self).opened -= 1


@pytest.fixture
def stock(tmp_path, monkeypatch):
    """Make a stock in one folder; what was made is in ``Instant.made``."""
    monkeypatch.setattr(pool, "ColonyWorkers", Instant)
    monkeypatch.setattr(Instant, "made", [])
    monkeypatch.setattr(Instant, "never", set())

    def make(slots=3, every=10, looks=2, **more):
        job = ColonyJob(str(tmp_path), SHAPE, looks, "cpu")
        wrap = lambda colony: int(colony.brightfield.flat[0])  # noqa: E731
        return FreshColonies(job, 5, slots, every, wrap, **more)

    return make


def seeds(stock, step):
    return stock.at(step, threading.Event())


def test_one_colony_is_replaced_after_so_many_steps(stock):
    one = stock()
    assert list(one.fill(0)) == [1, 2, 3]
    assert seeds(one, 0) == seeds(one, 9) == [5, 6, 7]
    assert seeds(one, 10) == [6, 7, 8]
    assert seeds(one, 1000) == [105, 106, 107]
    # Batches are cut ahead on several threads, so the order may be another.
    assert seeds(one, 999) == [104, 105, 106]


def test_the_stock_follows_from_the_step_alone(stock):
    one = stock()
    steps = range(0, 200, 7)
    whole = [seeds(one, step) for step in steps]
    one.close()
    other = stock()  # begins in the middle, in a folder of another time
    list(other.fill(70))
    assert [seeds(other, step) for step in steps if step >= 70] == whole[10:]


def test_no_more_is_made_than_the_steps_need(stock):
    """On a CPU training and simulation share the cores."""
    one = stock(slots=4, every=10)
    list(one.fill(0))
    for step in range(100):
        seeds(one, step)
    assert sorted(Instant.made) == list(range(5, 5 + 4 + 9 + pool.AHEAD))
    assert len(set(Instant.made)) == len(Instant.made)


def test_the_folder_holds_what_is_needed_and_no_more(stock, tmp_path):
    one = stock(slots=3, every=10)
    for step in range(0, 300, 5):
        seeds(one, step)
    found = {int(p.name.split(".")[0]) for p in tmp_path.glob("*.npy")}
    assert set(seeds(one, 295)) <= found
    assert len(found) <= 3 + pool.AHEAD + 3
    (tmp_path / ".9.brightfield.npy.77.part").touch()  # of a process that was killed
    list(stock().fill(0))
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{seed}.{kind}.npy" for seed in (5, 6, 7)
        for kind in ("brightfield", "fluorescence")
    }  # fmt: skip


def test_colonies_of_another_kind_are_made_again(stock):
    list(stock(looks=1).fill(0))
    Instant.made.clear()
    list(stock(looks=2).fill(0))
    assert Instant.made == [5, 6, 7]
    Instant.made.clear()
    list(stock(looks=2).fill(0))
    assert Instant.made == []


def test_waiting_ends_when_the_training_does(stock):
    one = stock()
    list(one.fill(0))
    Instant.never.add(8)
    ended = threading.Event()
    threading.Timer(0.2, ended.set).start()
    with pytest.raises(Cancelled):
        one.at(10, ended)


def test_a_failure_in_the_background_is_raised(stock, monkeypatch):
    failed = Future()
    failed.set_exception(PredictionError("no memory; buy some"))
    one = stock()
    list(one.fill(0))
    monkeypatch.setattr(Instant, "make", lambda self, seed: failed)
    with pytest.raises(PredictionError, match="no memory"):
        seeds(one, 10)


def test_a_second_process_only_looks(stock):
    maker, other = stock(), stock(makes=False)
    assert list(other.fill(0)) == []
    list(maker.fill(0))
    assert seeds(other, 0) == [5, 6, 7]
    ended = threading.Event()
    ended.set()
    with pytest.raises(Cancelled):
        other.at(10, ended)
    assert 8 not in Instant.made
    seeds(maker, 10)
    assert seeds(other, 10) == [6, 7, 8]


def test_closing_closes_the_workers(stock):
    before = Instant.opened
    one = stock()
    seeds(one, 0)
    one.close()
    assert Instant.opened == before
    job = ColonyJob(one._job.folder, SHAPE, 2, "cpu")
    assert list(fill_at_once(job, range(5, 12))) == [6, 7]  # the others are there
    assert Instant.opened == before


WORKER_SHAPE = (16, 32, 32)


def make(job, seed):
    """Have one process make a colony."""
    workers = ColonyWorkers(job)
    try:
        workers.make(seed).result()
    finally:
        workers.close()


def test_a_worker_makes_the_colony_of_its_seed(tmp_path):
    """The same to the bit as one thread makes anywhere; large seeds too."""
    seed = 2**32 + 3
    make(ColonyJob(str(tmp_path), WORKER_SHAPE, 2, "cpu"), seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        colony = simulate_colony(seed, WORKER_SHAPE, looks=2)
    finally:
        torch.set_num_threads(threads)
    made = open_colony(tmp_path, seed)
    assert np.array_equal(made.brightfield, colony.brightfield.half().numpy())
    assert made.fluorescence.shape == (12, *WORKER_SHAPE)


def test_what_goes_wrong_in_a_worker_is_one_line(tmp_path):
    with pytest.raises(PredictionError, match="process that simulates") as caught:
        make(ColonyJob(str(tmp_path / "a"), WORKER_SHAPE, 1, "no such device"), 1)
    assert "\n" not in str(caught.value)
    (tmp_path / "b" / "1.brightfield.npy").mkdir(parents=True)  # in the way
    with pytest.raises(OutputError, match="cannot write colony"):
        make(ColonyJob(str(tmp_path / "b"), WORKER_SHAPE, 1, "cpu"), 1)


def test_closing_ends_the_process_at_once(tmp_path):
    """In the midst of a colony that would take minutes."""
    workers = ColonyWorkers(ColonyJob(str(tmp_path), (56, 640, 640), 9, "cpu"))
    before = set(psutil.Process().children())
    workers.make(1)
    while not (mine := set(psutil.Process().children()) - before):
        time.sleep(0.01)
    workers.close()
    assert not any(one.is_running() for one in mine)


PARENT = """
import sys, time
from napari_sparsessp.simulation.pool import ColonyJob, ColonyWorkers
workers = ColonyWorkers(ColonyJob(sys.argv[1], (56, 640, 640), 9, "cpu"))
workers.make(1)
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
