"""The plan of memory: never more than asked, tiles as large as that allows."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction import memory
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.report import planned_memory
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

GB = 10**9


@pytest.fixture(scope="module")
def card():
    """The default model's."""
    return read_card()


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """`machine(cpu, gpu)`: bytes that are free; 12 GB at first."""
    free = {}

    def have(cpu=12 * GB, gpu=None):
        free.update(cpu=cpu, gpu=gpu)

    def asked(device="cpu"):
        return free["cpu" if device == "cpu" else "gpu"]

    have()
    monkeypatch.setattr(memory, "free_bytes", asked)
    return have


@pytest.fixture
def on_gpu(monkeypatch):
    """Plans are for a CUDA GPU in bf16."""
    where = "napari_sparsessp.prediction.plan"
    monkeypatch.setattr(f"{where}.planned_device", lambda _: "cuda:0")
    monkeypatch.setattr(f"{where}.planned_precision", lambda *_: "bf16")


def stack(*shape):
    """A stack of any size that takes no memory."""
    array = np.broadcast_to(np.float32(1), shape)
    return Volume(array, "TZYX"[-len(shape) :], (0.29, 0.29, 0.29))


def plan(card, volume, stored=False, **request):
    """Plan in fp32 whatever this machine prefers."""
    request = PredictionRequest(precision="fp32", **request)
    return plan_prediction(card, volume, request, stored=stored)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(1, 70),
    st.integers(1, 900),
    st.integers(1, 900),
    st.integers(7 * 10**8, 6 * GB),
    st.booleans(),
    st.booleans(),
)
def test_never_more_than_asked(card, depth, height, width, limit, stored, tta):
    """And tiles cover the volume; too little is refused with what would be enough."""
    options = {"stored": stored, "tta": tta}
    volume = stack(depth, height, width)
    try:
        made = plan(card, volume, memory_limit=limit, **options)
    except InputError as error:
        least = float(re.search(r"at least ([\d.]+) GB", str(error))[1])
        assert least * GB > limit
        made = plan(card, volume, memory_limit=round(least * GB), **options)
        limit = round(least * GB)
    found = made.memory
    assert found.planned <= found.limit <= limit
    assert found.input <= found.input_share
    whole = sum(
        np.prod([stop - start for start, stop in tile.core]) for tile in made.tiles
    )
    assert whole == np.prod(made.model_shape)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(1, 8 * GB), st.integers(1, 8 * GB))
def test_more_memory_never_makes_smaller_tiles(card, one, other):
    def side(limit):
        try:
            return plan(card, stack(40, 700, 700), memory_limit=limit).tile_size.core
        except InputError:
            return (0, 0)

    assert side(min(one, other)) <= side(max(one, other))


def test_free_memory_bounds_tiles_where_nobody_does(card, machine):
    machine(4 * GB // 10)
    small = plan(card, stack(40, 400, 400), structures=("dna",))
    assert small.tile_size.core < (384, 384)
    assert small.memory.planned < 2 * GB
    machine(2 * GB)  # a limit above what is free is no promise
    made = plan(card, stack(40, 700, 700), structures=("dna",), memory_limit=64 * GB)
    assert made.memory.limit < 3 * GB


def test_tiles_that_are_nearly_all_halo_are_the_last_resort(card, machine):
    """More of what is free is taken instead."""
    machine(59 * GB // 100)
    soft, most = memory.find_limits("cpu", None)
    made = plan(card, stack(40, 400, 400), structures=("dna",))
    assert made.tile_size.core == (384, 384)
    assert soft.process < made.memory.planned <= most.process


def test_an_output_that_goes_to_a_store_does_not_count(card):
    """Nor does the number of time points; in memory it cannot fit."""
    with pytest.raises(InputError, match=r"GiB are free; .*predict to a file"):
        plan(card, stack(200, 4096, 4096))
    one = plan(card, stack(200, 4096, 4096), stored=True, memory_limit=3 * GB)
    many = plan(card, stack(9, 200, 4096, 4096), stored=True, memory_limit=3 * GB)
    assert one.memory == many.memory
    assert one.memory.planned <= 3 * GB


def test_tiles_are_as_large_as_is_useful_or_asked_for(card):
    assert plan(card, stack(40, 2000, 2000)).tile_size.core == (384, 384)
    assert plan(card, stack(40, 99, 99), tile=(32, 64, 80)).tile_size.core == (64, 80)
    large = plan(card, stack(40, 2000, 2000), tile=(32, 512, 600), structures=("dna",))
    assert large.tile_size.core == (512, 600)
    assert not large.warnings
    less = {"tile": (32, 1024, 1024), "memory_limit": 3 * GB}
    made = plan(card, stack(40, 2000, 2000), stored=True, **less)
    assert made.tile_size.core < (1024, 1024)
    assert any("memory allows tiles" in text for text in made.warnings)
    assert re.fullmatch(r"tile \d+×\d+, \d\.\d of 3\.0 GB", made.memory.text)
    said = planned_memory(made.memory)
    assert said.limit_mb == pytest.approx(3 * GB / 2**20, abs=0.1)
    assert (said.tile, said.gpu_mb) == (made.tile_size.core, None)


def test_turns_and_deviations_are_counted(card):
    once = plan(card, stack(40, 300, 300)).memory
    turned = plan(card, stack(40, 300, 300), tta=True).memory
    spread = plan(card, stack(40, 300, 300), uncertainty=True).memory
    assert once.activations < turned.activations == spread.activations
    assert once.output < spread.output  # twice the channels


def test_a_gpu_takes_the_network_and_larger_tiles(card, machine, on_gpu):
    machine(12 * GB, 40 * GB)
    found = plan(card, stack(40, 4000, 4000), stored=True).memory
    assert found.tile == (1024, 1024)
    assert found.on_device <= found.device_limit < 40 * GB
    assert "GB of the GPU's" in found.text
    asked = plan(card, stack(40, 4000, 4000), stored=True, memory_limit=4 * GB).memory
    assert asked.on_device <= 4 * GB
    machine(12 * GB, 2 * GB)
    small = plan(card, stack(40, 4000, 4000), stored=True).memory
    assert small.tile < (1024, 1024)
    assert small.on_device <= 2 * GB
    machine(12 * GB, GB // 10)
    with pytest.raises(InputError, match=r"GiB of memory on the GPU .*choose the CPU"):
        plan(card, stack(40, 4000, 4000), stored=True)
    machine(12 * GB, None)  # it sleeps while a dock plans; the run wakes it
    found = plan(card, stack(40, 4000, 4000), stored=True).memory
    assert (found.tile, found.device_limit) == ((1024, 1024), None)


def test_norms_that_see_the_whole_tile_keep_its_size(card):
    """A smaller tile would be another prediction."""
    config = NetworkConfig(backbone="dod", topology="3d", conditioning="dodnet")
    changes = {"network": config.model_dump(mode="json"), "topology": "3d"}
    whole = card.model_copy(update=changes)
    made = plan(whole, stack(40, 300, 300), structures=("dna",))
    assert made.tiles[0].read_y[1] - made.tiles[0].read_y[0] <= card.patch[1]
    with pytest.raises(InputError, match="at least"):
        plan(whole, stack(40, 300, 300), structures=("dna",), memory_limit=GB)


def test_merged_networks_share_what_is_left(card):
    """One is needed; the others are kept as long as there is room."""
    config = NetworkConfig(backbone="plain", topology="3d", conditioning="repmode")
    changes = {"network": config.model_dump(mode="json"), "topology": "3d"}
    repmode = card.model_copy(update=changes)
    one = memory.merged_bytes(config)
    little = plan(repmode, stack(32, 128, 128), memory_limit=3 * GB).memory
    much = plan(repmode, stack(32, 128, 128)).memory
    assert one <= little.merged < much.merged <= 12 * one
    assert little.planned <= 3 * GB


SIZES = {
    "512MB": 512 * 10**6, "4 g": 4 * GB, "1.5GiB": 3 * 2**29, "100 kib": 102400,
    "2TB": 2 * 10**12, "123456": 123456,
}  # fmt: skip


@pytest.mark.parametrize("text", SIZES)
def test_sizes_are_written_as_people_write_them(text):
    request = PredictionRequest(memory_limit=text)
    assert request.memory_limit == SIZES[text]
    assert PredictionRequest.model_validate_json(request.model_dump_json()) == request
    with pytest.raises(ValidationError):
        PredictionRequest(memory_limit=f"-{text}!")


PREDICTION = """
import json, numpy as np, psutil, pathlib, sys
from napari_sparsessp import PredictionRequest, Volume, load_model, predict_stream
from napari_sparsessp.prediction.engine import Finished, Planned

model = load_model("default")
noise = np.random.default_rng(0).normal(size=(34, 88, 120)).astype(np.float32)
volume = Volume(noise, "ZYX", (0.29, 0.29, 0.29))
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = psutil.Process().memory_info().rss
for event in predict_stream(model, volume, request=PredictionRequest(device="cpu")):
    if isinstance(event, Planned):
        plan = event.plan.memory
status = pathlib.Path("/proc/self/status").read_text()
peak = next(int(l.split()[1]) for l in status.splitlines() if "VmHWM" in l) * 1024
assert "torch._dynamo" not in sys.modules
print(json.dumps([before, peak, plan.planned, plan.planned - plan.process]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_real_prediction_takes_less_than_planned():
    """The default model, in a process of its own; torch's compiler stays out of it."""
    done = subprocess.run(
        [sys.executable, "-c", PREDICTION], capture_output=True, text=True, check=True
    )
    before, peak, planned, growth = json.loads(done.stdout)
    assert peak <= planned
    assert peak - before <= growth
    assert peak - before >= growth / 3  # a plan that is far too careful helps nobody


PLAN = """
import sys, numpy as np
from napari_sparsessp import PredictionRequest, Volume
from napari_sparsessp.models.library import read_card
from napari_sparsessp.prediction.plan import plan_prediction
volume = Volume(np.ones((9, 30, 30), np.float32), "ZYX", (0.29,) * 3)
for device in ("auto", "cuda", "mps"):
    request = PredictionRequest(device=device)
    assert plan_prediction(read_card(), volume, request).memory.planned > 0
print("torch" in sys.modules)
"""


def test_a_plan_loads_no_torch():
    """A dock plans on each change."""
    done = subprocess.run(
        [sys.executable, "-c", PLAN], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
