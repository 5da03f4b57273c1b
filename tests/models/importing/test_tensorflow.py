"""A checkpoint of TensorFlow comes back as it was written, or is refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing import inspect_checkpoint
from napari_sparsessp.models.importing.tensorflow import (
    find_index,
    read_index,
    read_tensors,
)
from tensor_bundle import NUMBERS, SOME, field, write

ANY = st.dictionaries(
    st.text("ab/_1", min_size=1, max_size=6),
    st.tuples(
        st.sampled_from(sorted(NUMBERS, key=str)),
        st.lists(st.integers(0, 3), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


def refuse(index, match):
    with pytest.raises(ModelError, match=match) as error:
        read_tensors(index)
    assert "\n" not in str(error.value)


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(ANY, st.integers(0, 9))
def test_any_tensors_come_back_as_they_were_written(tmp_path, described, seed):
    chance = np.random.default_rng(seed)
    tensors = {
        name: np.asarray(chance.normal(size=shape) * 50).astype(dtype)
        for name, (dtype, shape) in described.items()
    }
    back = read_tensors(write(tmp_path, tensors))
    assert list(back) == sorted(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        np.testing.assert_array_equal(back[name], tensor)


def test_only_what_is_wanted_is_read(tmp_path):
    index = write(tmp_path)
    found = read_tensors(index, lambda name: not name.endswith("/Adam"))
    assert list(found) == ["a/kernel", "b/steps"]
    for place in (tmp_path, index, tmp_path / "model.ckpt"):
        assert find_index(place) == index
    assert find_index(tmp_path / "model.ckpt.data-00000-of-00001") == index
    assert find_index(tmp_path / "other.pth") is None


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"size": 25}, "more or fewer bytes than its shape"),
        ({"offset": 2**62}, "ends before a/kernel"),
        ({"offset": 4}, "bytes of a/kernel.* have changed"),
        ({"dtype": 7}, "holds no numbers"),
        ({"header": field(1, 10**9)}, "names 1000000000 data files"),
        ({"header": field(1, 1) + field(2, 1)}, "not little-endian"),
        ({"header": b"\x0f"}, "unknown kind"),
        ({"header": b"\xff" * 20}, "no end"),
        ({"ending": b"\1"}, "is compressed"),
        ({"tensors": {}}, "holds no tensor"),
        ({"tensors": {"a\nb": np.ones(2, "<f4")}}, "a name that is not valid"),
        ({"tensors": {"a" * 1001: np.ones(2, "<f4")}}, "a name that is not valid"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused(tmp_path, changes, match):
    refuse(write(tmp_path, **changes), match)


def test_missing_and_cut_off_files_are_named(tmp_path):
    index = write(tmp_path)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    refuse(
        index, r"model\.ckpt\.data-00000-of-00001 is damaged: it ends before b/steps"
    )
    data.unlink()
    refuse(index, "put it beside the .index")
    index.write_bytes(index.read_bytes()[:-9])
    refuse(index, "does not end like one")


@settings(max_examples=300, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_damaged_bytes_are_a_model_error_or_harmless(tmp_path, data):
    """No changed byte goes unseen, but where the footer has room to spare."""
    index = write(tmp_path)
    content = bytearray(index.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    index.write_bytes(content)
    try:
        back = read_tensors(index)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is fine
    else:
        np.testing.assert_array_equal(back["a/kernel"], SOME["a/kernel"])


def test_a_published_layout_is_read_whole(shared_parity):
    """Of GVTNets, written by TensorFlow itself, with Adam's slots."""
    index = find_index(shared_parity("weights/gvtnet_label_free"))
    table = read_tensors(index)
    assert len(table) == len(read_index(index)) == 224
    kernel = table["bottom_block/block_0/attention/k_transform/kernel"]
    assert kernel.shape == (1, 1, 1, 32, 32)
    assert all(np.isfinite(one).all() for one in table.values())


def test_an_import_says_what_it_is(tmp_path):
    write(tmp_path)
    with pytest.raises(ModelError, match="TensorFlow checkpoint of 3 tensors, and no"):
        inspect_checkpoint(tmp_path)
