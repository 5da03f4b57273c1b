"""The examples in the docstrings of the public names run, and show what they say."""

import doctest

import pytest

import napari_sparsessp

NAMES = [name for name in napari_sparsessp.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(name):
    value = getattr(napari_sparsessp, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert example.examples, f"{name} has no example"
    failed, _ = doctest.DocTestRunner().run(example)
    assert not failed
