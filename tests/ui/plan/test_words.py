"""What a ratio means at the microscope, in words."""

import pytest

from napari_sparsessp.evaluation.sampling_advice import ImagingCost
from napari_sparsessp.ui.plan.words import (
    cost_sentence,
    each_sentence,
    listed,
    nth,
    seconds_text,
)
from swept import report_of


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1, "every plane"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (12, "12th"),
        (21, "21st"),
    ],
)
def test_a_ratio_is_counted_as_people_count(ratio, said):
    assert nth(ratio) == said


@pytest.mark.parametrize(
    ("parts", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_a_list_reads_as_a_sentence(parts, said):
    assert listed(parts) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.05, "0.05 s"), (0.4, "0.4 s"), (1.6, "1.6 s"), (80, "80 s"), (320, "5.3 min")]
    + [(7200, "2 h"), (36_000, "10 h")],
)
def test_a_time_has_the_digits_that_one_cares_for(seconds, said):
    assert seconds_text(seconds) == said


def test_the_sentence_tells_light_and_time_of_stack_and_series():
    said = cost_sentence(ImagingCost(8, 32, 50, 200), 2.3)
    assert said == (
        "8 of 32 planes: 25 % of the light, 0.4 s instead of 1.6 s a stack, 80 s "
        "instead of 5.3 min of imaging for 200 stacks. Or 4 times as many stacks with "
        "the light of dense ones. Predicting one took 2.3 s here."
    )


def test_without_an_exposure_nothing_is_said_of_time():
    said = cost_sentence(ImagingCost(8, 32), 2.3)
    assert said.startswith("8 of 32 planes: 25 % of the light. Or")


def test_every_plane_saves_nothing():
    said = cost_sentence(ImagingCost(32, 32, 50), 2.3)
    assert said.startswith("All 32 planes: all of the light, 1.6 s a stack.")
    assert "Or" not in said


def test_each_structure_may_need_its_own_number_of_planes():
    report = report_of(
        {
            "dna": (0.6, 0.59, 0.58),
            "golgi_apparatus": (0.6, 0.59, 0.3),
            "microtubule": (-0.1, -0.1, -0.1),
        }
    )
    assert each_sentence(report) == (
        "Each by itself: 8 planes for DNA; 16 planes for Golgi apparatus; nobody can "
        "tell for Microtubule."
    )
    assert each_sentence(report_of({"dna": (0.6, 0.5)})) == ""
