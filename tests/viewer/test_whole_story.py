"""The real thing: bundled sample, shipped model, real engine, in a real viewer."""

import numpy as np
import pytest

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.samples import sample_paths
from napari_sparsessp.models.library import load_model, read_card
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.ui.layers.metadata import KEY

pytestmark = pytest.mark.painted


@pytest.fixture
def sample():
    """Paths of the sample, where sample and model are in this checkout."""
    try:
        read_card()
        return sample_paths()
    except SparseSSPError as error:
        pytest.skip(str(error))


def test_the_dock_gives_the_numbers_that_python_gives(viewer, sample, ran):
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.refresh_now()
    assert dock.preview.plan.view.ratio == pytest.approx(4, rel=0.02)
    assert len(dock.preview.truth) == 12
    (shown,) = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == "Colony · bright-field"
    dock.form.structures.tick(("dna", "cell_membrane"))
    ran(dock)
    assert not dock.form.foot.message.is_error, dock.form.foot.message.text.text()

    request = dock.layers.layer("dna").metadata[KEY]["request"]
    assert request["structures"] == ["cell_membrane", "dna"]
    result = predict(
        load_model("default"), load_volume(sample[0]), structures=request["structures"]
    )
    for id_, volume in result.items():
        layer = dock.layers.layer(id_)
        np.testing.assert_array_equal(layer.data, volume.numpy())
        assert tuple(layer.scale) == pytest.approx(volume.voxel_size)
        assert tuple(layer.translate) == pytest.approx(volume.origin)
        scores = layer.metadata[KEY]["scores"]
        assert scores["r2"] > 0.3
    assert dock.layers.layer("dna").metadata[KEY]["provenance"]["ratio"] == 4
