"""`sparsessp models run`: planes in, raw output out."""

import os
import sys

import numpy as np
import pytest
import torch

import published
from images import a_stack, write_stack
from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.sparse import SparseView


@pytest.fixture
def planes(tmp_path):
    """`planes(shape)`: path of an array of noise."""

    def write(*shape, dtype=np.float32):
        path = tmp_path / f"x{len(list(tmp_path.iterdir()))}.npy"
        noise = np.random.default_rng(0).normal(size=shape) * 5
        np.save(path, noise.astype(dtype))
        return path

    return write


@pytest.fixture
def run(sparsessp, tmp_path):
    """`run(model, planes, *options)`: the output as an array."""

    def call(model, source, *options):
        out = tmp_path / "y.npy"
        code, _, err = sparsessp(
            *("models", "run", model, "--input", source, "--out", out),
            *("--overwrite", *options),
        )
        assert code == 0, err
        return np.load(out)

    return call


@pytest.fixture
def sparse(tmp_path):
    path = tmp_path / "best_r4.pth"
    published.sparsessp(path)
    return path


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_model_of_ours_gets_its_planes_interpolated_and_the_distance_with_them(
    run, small_model, planes, count
):
    source = planes(count, 8, 12)
    model = load_model(small_model)
    view = SparseView.from_ratio(count, 8 / count)
    dense = torch.from_numpy(view.to_dense(np.load(source), "linear"))
    x = network_input(dense, torch.from_numpy(view.distance()))[None]
    with torch.inference_mode():
        expected = model.network(x)[0].numpy()
    np.testing.assert_array_equal(run(small_model, source), expected)


def test_all_channels_may_be_given(run, small_model, planes):
    assert run(small_model, planes(2, 8, 8, 12)).shape == (2, 8, 8, 12)


def test_a_ratio_that_is_not_whole_may_be_given(run, small_model, planes):
    assert run(small_model, planes(3, 8, 8), "--ratio", 2.7).shape == (2, 8, 8, 8)


def test_no_scaling_happens(run, small_model, planes, tmp_path):
    source = planes(8, 8, 8)
    np.save(tmp_path / "louder.npy", np.load(source) * 100)
    assert not np.allclose(
        run(small_model, source), run(small_model, tmp_path / "louder.npy"), atol=1e-2
    )


def test_whole_numbers_are_taken_as_float32(run, small_model, planes):
    assert run(small_model, planes(8, 8, 8, dtype=np.int16)).dtype == np.float32


def test_held_planes_equal_repeated_ones(run, sparse, planes, tmp_path):
    few = planes(2, 8, 8)
    np.save(tmp_path / "all.npy", np.load(few).repeat(4, axis=0))
    np.testing.assert_allclose(
        run(sparse, few), run(sparse, tmp_path / "all.npy"), atol=1e-6
    )


def test_outputs_are_called_by_structure_data_set_or_number(run, tmp_path, planes):
    path = tmp_path / "m.p"
    published.repmode(path, ("dna", "lamin_b1", "tom20"))
    source = planes(8, 8, 8)
    every = run(path, source)
    assert every.shape == (3, 8, 8, 8)
    for name in ("lamin_b1", "nuclear_envelope", "Lamin B1", "1"):
        np.testing.assert_array_equal(
            run(path, source, "--structures", name), every[1:2]
        )
    both = run(path, source, "--structures", "tom20,dna")
    np.testing.assert_array_equal(both, every[[2, 0]])
    np.testing.assert_array_equal(run(path, source, "--structures", "all"), every)


def test_a_network_of_any_depth_takes_any_depth(run, tmp_path, planes):
    published.fnet(tmp_path / "m.p")
    assert run(tmp_path / "m.p", planes(20, 8, 8)).shape == (1, 20, 8, 8)
    sparse = run(tmp_path / "m.p", planes(5, 8, 8), "--ratio", 4)
    assert sparse.shape == (1, 20, 8, 8)


@pytest.mark.parametrize(
    ("shape", "options", "match"),
    [
        (
            (8, 9, 12),
            (),
            "8×9×12; height and width must be multiples of 4, for example",
        ),
        ((8, 1, 2), (), "for example 4 and 4"),
        ((8, 8), (), "has shape 8×8; give planes as"),
        ((1, 1, 8, 8, 8), (), "give planes as"),
        ((0, 8, 8), (), "give planes as"),
        (
            (3, 8, 8),
            (),
            "3 planes do not fit; the network takes 8 or 4 or 2 or 1 planes",
        ),
        ((16, 8, 8), (), "16 planes do not fit"),
        ((4, 8, 8), ("--ratio", "4"), "4 planes at ratio 4 do not fit"),
        ((2, 8, 8, 8), (), "takes 1 channels; give (1, n, H, W"),
        ((8, 8, 8), ("--structures", "golgi"), "no output 'golgi'; it has 0 to 2"),
        ((8, 8, 8), ("--structures", "3"), "no output '3'; it has 0 to 2"),
    ],
)
def test_a_wrong_shape_or_name_says_what_would_work(
    refused, sparse, planes, tmp_path, shape, options, match
):
    line = refused(
        *("models", "run", sparse, "--input", planes(*shape)),
        *("--out", tmp_path / "y.npy", *options),
    )
    assert match in line
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x93NUMPY\x01\0", b"PK\x03\x04", b"\x80\x04."]
)
def test_what_is_no_array_is_refused(refused, sparse, tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    line = refused(
        *("models", "run", sparse, "--input", tmp_path / "bad.npy"),
        *("--out", tmp_path / "y.npy"),
    )
    assert "bad.npy" in line


def test_an_array_of_objects_is_never_unpickled(refused, sparse, tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    options = ("--input", tmp_path / "o.npy", "--out", tmp_path / "y.npy")
    assert "not a NumPy array of numbers" in refused("models", "run", sparse, *options)


def test_an_archive_of_arrays_and_one_of_complex_numbers_are_refused(
    refused, sparse, tmp_path
):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    np.save(tmp_path / "c.npy", np.ones((8, 8, 8), complex))
    out = ("--out", tmp_path / "y.npy")
    several = ("--input", tmp_path / "x.npz", *out)
    assert "several arrays" in refused("models", "run", sparse, *several)
    numbers = ("--input", tmp_path / "c.npy", *out)
    assert "complex128, not numbers" in refused("models", "run", sparse, *numbers)


def test_an_output_is_not_replaced_unasked(refused, sparse, planes, tmp_path):
    out = tmp_path / "y.npy"
    out.write_bytes(b"precious")
    options = ("--input", planes(8, 8, 8), "--out")
    assert "exists already" in refused("models", "run", sparse, *options, out)
    assert out.read_bytes() == b"precious"
    assert "is a folder" in refused("models", "run", sparse, *options, tmp_path)
    nowhere = tmp_path / "no" / "y.npy"
    assert "no folder" in refused("models", "run", sparse, *options, nowhere)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(refused, sparse, tmp_path):
    pipe = tmp_path / "x.npy"
    os.mkfifo(pipe)
    line = refused("models", "run", sparse, "--input", pipe, "--out", tmp_path / "y")
    assert "pipe or a device" in line


def test_a_checkpoint_of_tensorflow_is_run_imported_and_predicts(
    sparsessp, run, planes, tmp_path
):
    """From its folder; in tiles it looks at the whole stack first, and says so."""
    folder = tmp_path / "dna" / "models" / "x"
    folder.mkdir(parents=True)
    published.gvtnet(folder)
    source = planes(12, 24, 16)
    index = folder / "model.ckpt.index"
    np.testing.assert_array_equal(run(folder, source), run(index, source))
    target = tmp_path / "gvt.safetensors"
    code, said, err = sparsessp("models", "import", folder, "--out", target)
    assert code == 0, err
    assert "gvtnet-dna" in said
    stack = write_stack(tmp_path / "s.ome.tif", a_stack(12, 40), voxel_size=(0.29,) * 3)
    code, _, err = sparsessp(
        *("predict", stack, "--model", target, "--out", tmp_path / "o.ome.tif"),
        *("--device", "cpu", "--tile", "64,16,16"),
    )
    assert code == 0, err
    assert "looking at the whole stack" in err
