"""Ways to hold an image and to look at it; the numbers are the same in each."""

import dask.array as da
import numpy as np
import pytest

from fake_engine import MICRO, FakeEngine, light
from napari_sparsessp.ui.layers.metadata import is_prediction
from napari_sparsessp.ui.predict import dock as predict_dock

STACK = light(8, 40, 48)


def multiscale():
    return [STACK, STACK[:, ::2, ::2], STACK[:, ::4, ::4]]


def chunked():
    return da.from_array(STACK, chunks=(3, 17, 48))


def stored():
    import zarr

    array = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=STACK.shape,
        chunks=(2, 40, 48),
        dtype=STACK.dtype,
    )
    array[:] = STACK
    return array


def turned():
    return STACK[::-1][::-1].transpose(0, 2, 1).copy().transpose(0, 2, 1)


@pytest.fixture
def predict(thin_engine, predict_on, ran):
    """`predict(data, …)`: what the thin model makes of DNA in a layer with it."""

    def go(data, **more):
        place = {"scale": (0.29,) * 3, "contrast_limits": (900, 1100), **more}
        dock = predict_on(data, **place)
        dock.form.structures.tick(("dna",))
        ran(dock)
        message = dock.form.foot.message
        assert not message.is_error, message.text.text()
        return dock.layers.layer("dna").data

    return go


@pytest.fixture(scope="module")
def expected(thin_folder):
    """What Python makes of it, in the same tiles."""
    from napari_sparsessp.models.library import load_model
    from napari_sparsessp.prediction.engine import predict
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.volume import Volume

    request = PredictionRequest(structures=("dna",), tile=(8, 32, 32))
    model = load_model(thin_folder / "thin.safetensors")
    volume = Volume(STACK, "ZYX", (0.29, 0.29, 0.29))
    return predict(model, volume, request=request)["dna"].numpy()


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (lambda: STACK, {}),
        (multiscale, {"multiscale": True}),
        (chunked, {}),
        (stored, {}),
        (turned, {}),
    ],
    ids=["array", "multiscale", "dask", "zarr", "turned"],
)
def test_every_kind_of_array_gives_the_same(predict, expected, make, more):
    np.testing.assert_allclose(predict(make(), **more), expected, atol=1e-6)


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("ndisplay", [2, 3])
def test_slicing_in_a_thread_or_not(predict, expected, viewer, on, ndisplay):
    from napari.settings import get_settings

    viewer.dims.ndisplay = ndisplay
    experimental = get_settings().experimental
    before = experimental.async_
    experimental.async_ = on
    try:
        found = predict(STACK)
    finally:
        experimental.async_ = before
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_viewers_predict_at_the_same_time(
    make_napari_viewer, monkeypatch, finish, qtbot
):
    engines = []

    def new_engine():
        engines.append(FakeEngine(tile=32, wait_at=3 + len(engines)))
        return engines[-1]

    monkeypatch.setattr(predict_dock, "InstalledEngine", new_engine)
    docks = []
    for _ in range(2):
        viewer = make_napari_viewer()
        viewer.add_image(light(), name="bright-field", **MICRO)
        _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
        dock.form.structures.tick(("dna",))
        docks.append((viewer, dock))
    (first, one), (second, two) = docks
    one.run()
    two.run()
    qtbot.waitUntil(lambda: [len(e.computed) for e in engines] == [3, 4])
    one.cancel()
    finish(one)
    assert two.run_in_progress is not None
    engines[1].wait_at = None
    engines[0].wait_at = None
    two.cancel()  # it waits for that
    finish(two)
    assert "3 of 12" in one.form.foot.status.text()
    assert "4 of 12" in two.form.foot.status.text()
    two.resume()
    finish(two)
    (layer,) = [layer for layer in second.layers if is_prediction(layer)]
    assert np.all(layer.data == 1)
    (layer,) = [layer for layer in first.layers if is_prediction(layer)]
    assert not np.all(layer.data == 1)
