"""Numbers in the documents are those that their script gives."""

import re

import pytest
import torch

from benchmarks import pages
from benchmarks.claims import network_tables
from napari_sparsessp.networks import NetworkConfig

pytest.importorskip("transformers", reason="the page counts 2D backbones")
PAGE = network_tables.PAGE.read_text(encoding="utf-8")
PROSE = (pages.DOCS / "networks.md").read_text(encoding="utf-8")


COUNTS = [
    pytest.param(name, marks=pytest.mark.exhaustive)  # every network, counted again
    for name in ("counts", "table6", "slim")
]


@pytest.mark.parametrize("name", ["families", "speed", *COUNTS])
def test_docs_of_networks_are_up_to_date(name):
    """Otherwise: python -m benchmarks.claims.network_tables."""
    text = getattr(network_tables, name)()
    assert pages.filled(PAGE, name, text) == PAGE


def test_all_generated_parts_are_checked():
    assert PAGE.count("<!-- /") == 5


def test_a_page_without_markers_is_refused():
    with pytest.raises(SystemExit, match="no markers"):
        pages.filled("a page", "counts", "text")


def test_the_examples_build_what_they_say():
    """Python of the page runs as it is; without memory, on the meta device."""
    (code,) = re.findall(r"```python\n(.*?)```", PROSE, re.DOTALL)
    names = {}
    with torch.device("meta"):
        exec(code, names)
    assert names["prediction"].shape == (1, 2, 32, 128, 128)


def test_every_description_in_the_docs_exists():
    found = re.findall(r"`(NetworkConfig\(.*?\))` \|", PROSE)
    assert len(found) >= 8
    for text in found:
        assert isinstance(eval(text, {"NetworkConfig": NetworkConfig}), NetworkConfig)
