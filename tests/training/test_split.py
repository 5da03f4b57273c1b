"""What is kept back is chosen by place, and what is shown is what is done."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import Validation
from napari_sparsessp.training.data import split_pairs
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.split import (
    StackShape,
    choose_validation,
    cut_validation,
    stack_parts,
)

MARGIN, STRIDE = 96, 8


def a_shape(name="s", structures=("dna",), shape=(8, 64, 128), split=""):
    return StackShape(name, structures, shape, split)


def a_pair(shape, labels=(0,), split=""):
    """A stack whose pixels are their own columns."""
    depth, height, width = shape
    look = np.broadcast_to(np.arange(width), (1, depth, height, width))
    return Pair(look, [look[0]] * len(labels), labels, split=split)


def test_one_stack_loses_the_end_of_its_longer_side_behind_a_gap():
    found = choose_validation([a_shape()], MARGIN, STRIDE)
    assert (found.by, found.share) == ("x", 0.25)
    assert found.gap == 128 // 8
    tall = choose_validation([a_shape(shape=(8, 300, 90))], MARGIN, STRIDE)
    assert tall.by == "y"
    large = choose_validation([a_shape(shape=(8, 64, 2000))], MARGIN, STRIDE)
    assert large.gap == MARGIN


def test_three_stacks_of_a_structure_keep_back_a_whole_one():
    stacks = [a_shape(str(k)) for k in range(4)]
    assert choose_validation(stacks, MARGIN, STRIDE).by == "stack"
    # One structure that only one stack shows could not be judged.
    alone = [*stacks[:3], a_shape("own", ("golgi_apparatus",))]
    assert choose_validation(alone, MARGIN, STRIDE).by == "x"


@pytest.mark.parametrize("width", [16, 24, 40, 64, 88, 341])
def test_no_part_of_a_cut_stack_is_shorter_than_the_stride(width):
    shape = a_shape(shape=(8, 16, width))
    (parts,) = stack_parts([shape], cut_validation([shape], "x", MARGIN, STRIDE))
    for begin, end in (parts.learn, parts.judge):
        assert end - begin >= STRIDE
    assert parts.learn[1] <= parts.judge[0]
    assert parts.judge[1] == width


def test_a_cut_leaves_out_the_gap():
    shape = (8, 64, 128)
    validation = choose_validation([a_shape(shape=shape)], MARGIN, STRIDE)
    (learn,), (judge,) = split_pairs([a_pair(shape)], validation)
    assert learn.looks[0, 0, 0].tolist() == list(range(80))
    assert judge.looks[0, 0, 0].tolist() == list(range(96, 128))
    assert judge.targets[0].shape == judge.looks.shape[1:]
    (learn,), (judge,) = split_pairs([a_pair((8, 40, 60))], Validation(by="y"))
    assert (learn.looks.shape[-2:], judge.looks.shape[-2:]) == ((36, 60), (4, 60))


def test_whole_stacks_are_kept_back_for_each_structure():
    labels = [(0,), (0, 1), (1,), (0,), (1,)]
    pairs = [a_pair((2, 8, 8), each) for each in labels]
    learn, judge = split_pairs(pairs, Validation(share=0.3, seed=3))
    assert learn + judge != pairs
    assert sorted(map(pairs.index, learn + judge)) == list(range(5))
    for part in (learn, judge):
        assert {label for one in part for label in one.labels} == {0, 1}


def test_a_split_that_the_data_say_counts():
    shapes = [
        a_shape("a"),
        a_shape("b", split="validation"),
        a_shape("c", split="test"),
    ]
    parts = stack_parts(shapes, Validation(share=0.25, by="x"))
    assert [(one.stack.name, one.judge is not None) for one in parts] == [
        ("a", False),
        ("b", True),
    ]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InputError, match="only one stack"):
        stack_parts([a_shape()], Validation(share=0.2, by="stack"))
    with pytest.raises(InputError, match="only 20 pixels long in x"):
        stack_parts([a_shape(shape=(8, 64, 20))], Validation(by="x", gap=18, share=0.2))
    with pytest.raises(ValueError, match="whole stacks need none"):
        Validation(by="stack", gap=4)


def test_only_stacks_without_a_split_are_chosen_from():
    marked = [a_pair((2, 8, 8), split="train") for _ in range(2)]
    pairs = [*marked, *(a_pair((2, 8, 8)) for _ in range(2))]
    _, judge = split_pairs(pairs, Validation(share=0.25))
    assert judge[0] in pairs[2:]
    with pytest.raises(InputError, match=r"validation\.by: x or y"):
        split_pairs(pairs[2:3], Validation())
    with pytest.raises(InputError, match="all 2 stacks are marked train.*leaves none"):
        split_pairs(marked, Validation())
