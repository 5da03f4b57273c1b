"""Each prediction knows which layer it is compared with, whatever comes after."""

import pytest

from fake_engine import light
from napari_sparsessp.ui.layers.metadata import KEY, truth_of
from napari_sparsessp.ui.napari_compat import layer_key

DENSE = {"scale": (0.29,) * 3, "units": ("um",) * 3}


@pytest.fixture
def compared(dock, viewer, ran):
    """A finished run with one truth, another layer that could be one, and no third."""
    viewer.add_image(light(32), name="Hoechst", **DENSE)
    viewer.add_image(light(32, seed=1), name="another stain", **DENSE)
    dock.refresh_now()
    dock.form.options.rows.native("uncertainty").setChecked(True)
    ran(dock)
    return dock


def key(viewer, name):
    return layer_key(viewer.layers[name])


def choose(dock, structure, key):
    rows = [row.structure.id for row in dock.form.structures.rows]
    dock.form.structures.choose_truth(rows.index(structure), key)


def test_a_prediction_names_the_truth_of_its_run_or_that_the_user_chooses_later(
    compared, viewer, ran
):
    dna = compared.layers.layer("dna")
    assert truth_of(dna) == key(viewer, "Hoechst")
    assert dna.metadata[KEY]["truth"] == "Hoechst"
    assert truth_of(compared.layers.layer("golgi_apparatus")) is None
    assert truth_of(compared.layers.layers("uncertainty")["dna"]) is None
    assert "scores" in dna.metadata[KEY]
    choose(compared, "dna", key(viewer, "another stain"))
    assert truth_of(dna) == key(viewer, "another stain")
    assert "scores" not in dna.metadata[KEY]
    ran(compared)
    assert compared.layers.layer("dna") == dna
    assert truth_of(dna) == key(viewer, "another stain")
    assert dna.metadata[KEY]["scores"] == {"r2": 0.5, "pcc": 0.7}
    choose(compared, "dna", None)
    assert truth_of(dna) is None
