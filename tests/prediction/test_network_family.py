"""The engine serves every network, not only the shipped design."""

import threading
from itertools import product

import numpy as np
import pytest

from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    PredictionCancelled,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest
from thin import save_random

SMALL = {
    "encoder_widths": (4, 8, 8),
    "encoder_blocks": (1, 1, 1),
    "decoder_widths": (4, 8),
    "folded_width": 16,
    "groups": 4,
    "depth": 8,
    "outputs": 3,
}
PATCH = (8, 128, 128)


@pytest.fixture
def make_model(tmp_path):
    """`make_model(**config)`: random weights behind a card."""

    def make(**config):
        network = NetworkConfig(**{**SMALL, **config})
        path = tmp_path / "family.safetensors"
        save_random(path, network, seed=1, patch=PATCH, ratios=(network.ratio,))
        return load_model(path)

    return make


FLAT = {"backbone": "plain", "topology": "2d", "ratio": 2, "mapping": "none"}
SLIM = {"backbone": "slim", "decoder_widths": (4, 6, 8)}
PASSES = {"backbone": "plain", "topology": "3d", "conditioning": "repmode"}
KINDS = [
    PASSES,
    {"backbone": "dod", "topology": "2to3d", "conditioning": "dodnet"},
    FLAT,
    {**SLIM, "topology": "2to3d"},
    {"backbone": "dod", "topology": "3d", "conditioning": "tsn"},
    {"backbone": "dod", "ratio": 2, "mapping": "postfix", "conditioning": "tgnet"},
    {"backbone": "plain", "conditioning": "multinet"},
    {**SLIM, "topology": "2d", "decoder_widths": (4, 6, 8, 8)},
    {**SLIM, "topology": "3d"},
]


@pytest.mark.parametrize(
    ("number", "turned"),
    [*product(range(len(KINDS)), [False]), *product(range(4), [True])],
)
def test_every_kind_of_network_predicts(make_model, make_volume, number, turned):
    """Some structures in the asked order, as all together give them.

    Deviations lie beside their structures, also where each is a pass of its own.
    """
    model = make_model(**KINDS[number])
    volume = make_volume((4, 21, 50), voxel=(0.58, 0.29, 0.29))
    asked = PredictionRequest(precision="fp32", tta=turned, uncertainty=turned)
    every = predict(model, volume, request=asked)
    some = predict(model, volume, request=asked, structures=["mitochondria", "dna"])
    assert every.volume.shape == (6 if turned else 3, 8, 21, 50)
    assert np.isfinite(every.volume.numpy()).all()
    assert (every.volume.numpy()[3:].max((1, 2, 3)) > 0).all()
    assert list(some)[:2] == ["mitochondria", "dna"]
    for name in some:
        np.testing.assert_allclose(some[name].array, every[name].array, atol=1e-5)


def test_a_network_of_fixed_ratio_gets_the_measured_planes(make_model, make_volume):
    """Not a mixture of them: windows start where planes were measured."""
    import torch

    model = make_model(**FLAT)
    volume = make_volume((9, 16, 16), voxel=(0.58, 0.29, 0.29))
    got = []
    model.network.encode = lambda x: got.append(x) or torch.zeros(1)
    model.network.decode = lambda _, rows: torch.zeros(1, len(rows), 8, 16, 16)
    predict(model, volume, request=PredictionRequest(precision="fp32"))
    planes = volume.numpy()
    planes = (planes - planes.mean()) / planes.std()
    for x in got:
        assert x.shape == (1, 1, 4, 16, 16)
        for plane in x[0, 0].numpy():
            near = [np.corrcoef(plane.ravel(), p.ravel())[0, 1] for p in planes]
            assert max(near) > 0.999


FAR = {"encoder_widths": (4,) * 5, "decoder_widths": (4,) * 4, "kernel": 5}


@pytest.mark.parametrize(
    ("changes", "side", "shape"),
    [
        ({"backbone": "dod", "norm": "batch"}, 32, (8, 200, 40)),
        ({"backbone": "dod", "norm": "none"}, 32, (8, 200, 40)),
        # Its halo ends before its reach does; what lies beyond counts little.
        ({"backbone": "plain", "norm": "none", **FAR}, 64, (8, 400, 48)),
    ],
)
def test_tiles_fit_without_seams_where_no_norm_looks_around(
    make_model, make_volume, changes, side, shape
):
    """Halo = reach: the cuts do not change the prediction."""
    model = make_model(topology="2to3d", **changes)
    assert (model.network.config.reach > 96) == ("kernel" in changes)
    whole, tiled = (
        predict(
            model,
            make_volume(shape),
            request=PredictionRequest(precision="fp32", tile=(8, size, size)),
        ).volume.numpy()
        for size in (512, side)
    )
    assert np.abs(whole - tiled).max() <= 0.02 * whole.std()


def test_each_pass_is_an_event_and_can_be_cancelled(make_model, make_volume):
    """Where structures cost a pass each, nobody waits for all of them.

    What is resumed is what it would have been, a blank time point too.
    """
    model, volume = make_model(**PASSES), make_volume((2, 8, 32, 32), "TZYX")
    volume.array[1] = 0
    cancel, writer = threading.Event(), ArrayWriter()
    seen = []
    for event in predict_stream(model, volume, writer=writer, cancel=cancel):
        seen.append(event)
        if isinstance(event, TileDone):
            assert event.structures == ("dna",)
            assert event.total == 6
            cancel.set()
    assert isinstance(seen[-1], PredictionCancelled)
    assert seen[-1].done == 1
    *_, last = predict_stream(model, volume, writer=writer)
    whole = predict(model, volume)
    np.testing.assert_array_equal(writer.buffer, whole.volume.array)
    assert np.isnan(writer.buffer[1]).all()
    assert last.report.warnings == whole.report.warnings
