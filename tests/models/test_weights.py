"""What is written is what the safetensors library reads."""

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from napari_sparsessp.models.weights import (
    digest_of_file,
    digest_of_tensors,
    read_header,
    write_tensors,
)

TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64]
TYPES += [torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    st.dictionaries(
        st.text(max_size=9).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(TYPES),
            st.lists(st.integers(0, 4), max_size=4),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_any_tensors_come_back_through_the_library(tmp_path, described):
    tensors = {}
    for name, (dtype, shape, transposed) in described.items():
        values = torch.from_numpy(
            np.asarray(np.random.default_rng(0).normal(size=shape))
        )
        values = values * 50
        tensors[name] = (
            values.to(dtype).T if transposed and len(shape) == 2 else (values.to(dtype))
        )
    path = tmp_path / "t.safetensors"
    write_tensors(path, tensors, {"key": "värde"})
    back = load_file(path)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    header = read_header(path)
    assert header.metadata == {"key": "värde"}
    assert digest_of_file(path, header) == digest_of_tensors(tensors)


def test_a_digest_sees_names_types_shapes_and_every_bit():
    base = {"a": torch.arange(6.0), "b": torch.ones(2)}
    others = [
        {"a": torch.arange(6.0), "c": torch.ones(2)},
        {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)},
        {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.float64)},
        {"a": torch.arange(6.0) + torch.tensor([0, 0, 1e-6, 0, 0, 0]), "b": base["b"]},
        {"a": torch.arange(6.0)},
    ]
    digests = {digest_of_tensors(one) for one in [base, *others]}
    assert len(digests) == 1 + len(others)


def test_a_single_number_of_any_stride_is_written(tmp_path):
    odd = torch.ones(()).expand(1).as_strided((1,), (0,))
    write_tensors(tmp_path / "t.safetensors", {"a": odd}, {})
    assert load_file(tmp_path / "t.safetensors")["a"].tolist() == [1.0]
