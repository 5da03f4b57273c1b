"""Ratio, simulation and the sentence about the planes."""

import pytest

from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.widgets.sampling import (
    SamplingPanel,
    sampling_sentence,
)


@pytest.fixture
def panel(added):
    panel = added(SamplingPanel())
    panel.show()
    return panel


@pytest.mark.parametrize(
    ("view", "flat", "said"),
    [
        (SparseView.from_ratio(13, 4), False,
         "13 planes measured, 52 predicted, 75 % fewer exposures"),
        (SparseView.from_ratio(8, 1), False, "dense stack: 8 planes"),
        (SparseView.from_ratio(13, 1), True,
         "13 planes measured, 1 projection of them predicted"),
        (SparseView.from_voxel_size(10, 0.145, 0.29), False,
         "10 planes measured, 5 predicted"),
    ],
)  # fmt: skip
def test_the_sentence_counts_planes_and_promises_no_more(view, flat, said):
    assert said in sampling_sentence(view, flat=flat)


def test_a_ratio_is_that_of_the_voxel_size_until_one_is_chosen(panel, qtbot):
    assert panel.ratio() is None
    with qtbot.waitSignal(panel.changed):
        panel.segments.button("8").click()
    assert panel.ratio() == 8
    panel.segments.button("other").click()
    assert panel.other.isVisible()
    panel.other.native("ratio").setValue(2.5)
    assert panel.ratio() == 2.5


def test_a_ratio_for_a_dense_stack_means_simulation_and_a_sparse_one_has_none(panel):
    panel.set_stack(True)
    panel.segments.button("8").click()
    assert panel.simulate()
    panel.segments.button("auto").click()
    assert not panel.simulate()
    panel.trial.native("simulate").click()
    assert panel.ratio() == 4
    panel.set_stack(False)
    assert not panel.simulate()
    assert not panel.trial.isVisible()


@pytest.mark.parametrize("planes", [1, 7, 57, 900])
def test_any_number_of_planes_can_be_drawn(panel, planes):
    panel.show_view(SparseView.from_ratio(planes, 4), 0.29)
    assert not panel.drawing.grab().isNull()
