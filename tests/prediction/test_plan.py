"""All that can be known before a pixel is read."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


@pytest.fixture
def plan(thin_model):
    """`plan(volume, truth=…, **request)`."""

    def make(volume, truth=None, **request):
        return plan_prediction(
            thin_model.card, volume, PredictionRequest(**request), truth
        )

    return make


def test_ratio_follows_from_the_voxel_size(plan, make_volume):
    """A z step of 1.16 µm is every 4th plane of the dense grid."""
    done = plan(make_volume((8, 20, 30), voxel=(1.16, 0.29, 0.29)))
    assert done.view.ratio == pytest.approx(4)
    assert done.output_shape == (3, 32, 20, 30)
    assert done.view.measured_planes == tuple(range(0, 32, 4))


def test_pixels_are_brought_to_the_model_grid(plan, make_volume):
    """Anisotropic pixels become the model's cubes; outer edges stay."""
    done = plan(make_volume((10, 204, 341), voxel=(0.29, 0.33137, 0.29355)))
    assert done.output_shape[1:] == (10, 233, 345)
    assert done.voxel_size == (0.29, 0.29, 0.29)
    assert done.origin[1] == pytest.approx((0.29 - 0.33137) / 2)


def test_input_grid_keeps_the_pixels(plan, make_volume):
    """--grid input: the input's y/x, the dense z."""
    volume = make_volume((4, 50, 60), voxel=(0.58, 0.5, 0.4))
    done = plan(volume, grid="input")
    assert done.output_shape[1:] == (8, 50, 60)
    assert done.voxel_size == (0.29, 0.5, 0.4)
    assert done.origin == volume.origin


def test_unknown_voxel_size_is_assumed_with_a_warning(plan, make_volume):
    """Ratio 1 and the model's pixels, both said."""
    done = plan(make_volume((5, 81, 81), voxel=None))
    assert done.output_shape == (3, 5, 81, 81)
    assert any("ratio 1 was assumed" in text for text in done.warnings)
    assert any("pixel size is unknown" in text for text in done.warnings)


def test_time_points_are_kept(plan, make_volume):
    """TZYX in, TCZYX out; a slice picks."""
    volume = make_volume((5, 4, 20, 20), "TZYX")
    assert plan(volume).output_shape == (5, 3, 4, 20, 20)
    assert plan(volume, time="1:3").times == (1, 2)
    assert plan(volume, time="-1").times == (4,)
    for time in ("9", "a:b", "7:9"):
        with pytest.raises(InputError, match="5 time points"):
            plan(volume, time=time)


def test_structures_by_any_known_name(plan, make_volume):
    """Labels and proteins are understood, duplicates dropped, order kept."""
    done = plan(make_volume((4, 20, 20)), structures=("mitochondria", "DNA", "dna"))
    assert done.structures == ("mitochondria", "dna")


BAD_REQUESTS = {
    "ratio contradicts": ({"ratio": 4}, "contradicts the voxel size"),
    "ratio below one": ({"ratio": 0.5}, "at least 1"),
    "unknown structure": ({"structures": ("spleen",)}, "spleen"),
    "structure of another model": ({"structures": ("golgi_apparatus",)}, "it knows"),
    "no structure": ({"structures": ()}, "at least one structure"),
    "no time axis": ({"time": "3"}, "no time axis"),
    "simulate without ratio": ({"simulate_sparse": True}, "give the ratio"),
    "phase beyond the ratio": (
        {"simulate_sparse": True, "ratio": 2, "phase": 2},
        "from 0 to 1",
    ),
    "phase of a sparse stack": ({"phase": 1}, "leave the phase out"),
    "simulate from a sparse stack": (
        {"simulate_sparse": True, "ratio": 2, "voxel_size": (1.16, 0.29, 0.29)},
        "sparse already",
    ),
    "simulate a fraction": ({"simulate_sparse": True, "ratio": 2.5}, "whole number"),
    "tile of nothing": ({"tile": (8, 0, 16)}, "above 0"),
}


@pytest.mark.parametrize(
    ("shape", "voxel", "text"),
    [
        ((4, 20, 20), (0.29, 0.65, 0.65), "expect poor predictions"),
        # A recorded z step does not make a stack of one plane.
        ((1, 20, 20), (0.29, 0.29, 0.29), "one plane"),
        ((1, 20, 20), (2.0, 0.29, 0.29), "one plane"),
    ],
)
def test_an_unusual_stack_is_warned_about(plan, make_volume, shape, voxel, text):
    assert any(text in said for said in plan(make_volume(shape, voxel=voxel)).warnings)


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_request_that_cannot_be_met_says_why(case, plan, make_volume):
    """One line, ours, with advice."""
    request, text = BAD_REQUESTS[case]
    with pytest.raises(InputError, match=text) as caught:
        plan(make_volume((8, 20, 20)), **request)
    assert "\n" not in str(caught.value)


def test_several_channels_are_listed(plan, make_volume):
    """No guessing which one is transmitted light."""
    volume = make_volume((2, 4, 20, 20), "CZYX", channel_names=("BF", "DNA"))
    with pytest.raises(InputError, match="0 'BF', 1 'DNA'"):
        plan(volume)
    assert plan(volume, channel="bf").volume.axes == "ZYX"


def test_one_plane_needs_to_be_told_what_it_stands_for(plan, make_volume):
    """A bare plane is refused; with a ratio or a known pixel it is predicted."""
    with pytest.raises(InputError, match="no z axis"):
        plan(make_volume((1, 20, 20), voxel=None))
    assert plan(make_volume((1, 20, 20), voxel=None), ratio=4).view.depth == 4
    known = plan(make_volume((1, 20, 20), voxel=None, pixel_size=(0.3, 0.3)))
    assert known.view.depth == 1
    assert any("one plane" in text for text in known.warnings)


def test_truth_without_a_voxel_size_is_placed_by_its_shape(plan, make_volume):
    """As the input or as the prediction; anything else is refused."""
    volume = make_volume((4, 20, 20), voxel=None)
    for depth in (4, 16):
        truth = make_volume((depth, 20, 20), voxel=None)
        placed = plan(volume, {"dna": truth}, ratio=4).truth["dna"]
        assert placed.voxel_size[0] * depth == pytest.approx(16 * 0.29)
    with pytest.raises(InputError, match="fits neither"):
        plan(volume, {"dna": make_volume((5, 19, 20), voxel=None)}, ratio=4)


def test_dense_truth_may_end_before_the_dense_grid(plan, make_volume):
    """Every 8th plane of 57 stands for 64: seven planes are not scored, and said."""
    truth = make_volume((57, 20, 20))
    done = plan(make_volume((8, 20, 20), voxel=(2.32, 0.29, 0.29)), {"dna": truth})
    assert any("7 of 64 predicted planes" in text for text in done.warnings)
    assert not any("resampled" in text for text in done.warnings)


def test_truth_of_another_field_or_structure_is_refused(plan, make_volume):
    """Half the field is not the same field; an unused truth is a mistake."""
    volume = make_volume((8, 40, 40))
    with pytest.raises(InputError, match="covers only"):
        plan(volume, {"dna": make_volume((8, 20, 40))})
    with pytest.raises(InputError, match="not predicted"):
        plan(volume, {"mitochondria": volume}, structures=("dna",))


def test_planning_reads_no_pixel(plan):
    """The dock plans on the GUI thread."""

    class Untouchable:
        shape = (8, 20, 20)
        dtype = np.dtype("f4")

        def __getitem__(self, index):
            raise AssertionError("a pixel was read")

    plan(Volume(Untouchable(), "ZYX", (0.29, 0.29, 0.29)))


def test_truth_that_lies_elsewhere_is_noted_too(plan, make_volume):
    """The same voxels, shifted by half of one, are another grid."""
    volume = make_volume((8, 40, 40))
    here, there = make_volume((8, 40, 40)), make_volume((8, 40, 40))
    there = there.with_(origin=(0, 0.145, 0))
    assert not plan(volume, {"dna": here}).warnings
    assert "resampled" in plan(volume, {"dna": there}).warnings[0]


def test_requests_are_read_as_people_write_them(plan, make_volume):
    """One structure without brackets, a time point without quotes."""
    volume = make_volume((2, 4, 20, 20), "TZYX")
    done = plan(volume, structures="dna, mitochondria", time=1)
    assert done.structures == ("dna", "mitochondria")
    assert done.times == (1,)
    assert PredictionRequest(structures="all").structures == "all"
