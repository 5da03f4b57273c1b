"""Layers become files that a training reads; what does not fit is not written."""

import numpy as np
import pytest

from images import a_stack
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.training.data import grid_shape, look_at_stacks
from napari_sparsessp.training.pairs import read_labels, write_list
from napari_sparsessp.training.stacks import TrainingStack, check_stack, write_stacks
from napari_sparsessp.volume import Volume

VOXEL = (0.3, 0.2, 0.2)
STEP = 0.29


def a_volume(planes=6, size=16, seed=0, voxel=VOXEL):
    return Volume(a_stack(planes, size, seed), "ZYX", voxel, name="field")


def a_pair(**changes):
    fields = {
        "name": "field",
        "light": a_volume(),
        "truths": {"dna": a_volume(seed=1), "own": a_volume(seed=2)},
    }
    return TrainingStack(**{**fields, **changes})


def written(folder, *stacks):
    path = write_stacks(stacks, folder / "stacks", folder / "pairs.csv", STEP)
    return read_labels(path)


def test_what_was_written_is_read_with_pixels_and_size(tmp_path):
    labels = written(tmp_path, a_pair(), a_pair(split="validation"))
    assert [one.structure for one in labels] == ["dna", "own"] * 2
    assert [one.split for one in labels] == ["", "", "validation", "validation"]
    light = load_volume(labels[0].path, channel=labels[0].signal)
    own = load_volume(labels[1].path_target, channel=labels[1].target)
    np.testing.assert_array_equal(light.numpy(), a_stack(6, 16, 0))
    np.testing.assert_array_equal(own.numpy(), a_stack(6, 16, 2))
    assert light.voxel_size == pytest.approx(VOXEL)


def test_a_projection_and_a_mask_get_files_of_their_own(tmp_path):
    mask = Volume(np.ones((1, 16, 16), np.uint8), "ZYX", None)
    flat = a_pair(truths={"dna": a_volume(1, seed=1)}, mask=mask)
    (label,) = written(tmp_path, flat)
    assert label.path_target != label.path
    assert load_volume(label.path_target).sizes["Z"] == 1
    assert (load_volume(label.mask).numpy() == 1).all()


def test_a_list_of_images_elsewhere_keeps_their_whole_paths(tmp_path):
    labels = written(tmp_path / "a", a_pair())
    path = write_list(labels, tmp_path / "b" / "pairs.csv")
    assert read_labels(path) == labels
    # What lies below the list is named from it, so that both can be moved.
    assert str(tmp_path) not in (tmp_path / "a" / "pairs.csv").read_text()


def test_of_a_stack_without_step_the_pixel_size_is_kept(tmp_path):
    light = Volume(a_stack(6, 16), "ZYX", None, pixel_size=(0.2, 0.2))
    (label, _) = written(tmp_path, a_pair(light=light))
    assert load_volume(label.path).voxel_size == pytest.approx((STEP, 0.2, 0.2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"truths": {}}, "no fluorescence to learn from"),
        ({"truths": {"dna": a_volume(size=20)}}, "must show the same field"),
        ({"truths": {"dna": a_volume(planes=3)}}, "with as many planes or one"),
        ({"truths": {"dna": a_volume(planes=24)}}, "needs a dense bright-field stack"),
        ({"truths": {"dna": a_volume(voxel=(0.3, 0.1, 0.1))}}, "pixels of 0.1 µm"),
        ({"mask": a_volume(size=8)}, "the mask has"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, changes, words
):
    with pytest.raises(InputError, match=words):
        check_stack(a_pair(**changes))
    with pytest.raises(InputError, match=words):
        written(tmp_path, a_pair(**changes))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "stacks").write_text("a file in the way")
    with pytest.raises(OutputError, match="make room or choose another folder"):
        written(tmp_path, a_pair())


def test_sizes_are_known_from_headers_on_the_models_grid(tmp_path):
    labels = written(tmp_path, a_pair())
    (shape,) = look_at_stacks(labels, (0.29, 0.1, 0.1))
    assert shape.structures == ("dna", "own")
    assert shape.shape == grid_shape(a_volume(), (0.29, 0.1, 0.1)) == (6, 32, 32)


def test_layers_that_lie_elsewhere_are_not_taken_for_a_pair():
    moved = a_volume(seed=1).with_(origin=(0.0, 0.0, 2.0))
    with pytest.raises(InputError, match="shifted by 0 .y. and 2 .x."):
        check_stack(a_pair(truths={"dna": moved}))
    # Half a pixel is what registration leaves.
    near = a_volume(seed=1).with_(origin=(0.0, 0.1, 0.1))
    check_stack(a_pair(truths={"dna": near}))
