"""Words that users did not understand stay away: each has a plain one."""

import re
from pathlib import Path

import pytest

import napari_sparsessp

PLAIN = {
    "sampled at every": "z-sampling: 1 plane in 4 acquired",
    "every plane is imaged": "dense stack: 57 planes",
    "Served by": "Model:",
    "Only what I see": "predict visible region",
    "Steadier": "average 8 rotations and flips",
    "My view": "restore my view",
    "Take it with you": "export",
    "with all that belongs to it": "save project (OME-Zarr)",
    "Something is in the way": "cannot run: see message above",
    "too dark": "underestimated",
    "too bright": "overestimated",
    "The finest detail is": "your image is blurrier than the training images",
    "Counts where": "mask: none",
    "teaching needs": "training needs a dense bright-field stack",
    "mend the file": "repair the file",
    "also a broken one": "also non-integer",
    "it agrees this well": "scores",
    "with its truth, seen this way": "view",
    "and at these values": "predicted against true intensity",
    "do not lie on this stack": "belong to another image",
    "Has seen a part of one well": "trained on part of one well only",
    "card does not tell": "no scores recorded",
}


@pytest.fixture(scope="module")
def texts():
    """All texts of the package, those over several lines as one."""
    package = Path(napari_sparsessp.__file__).parent
    files = [*package.rglob("*.py"), *package.rglob("*.yaml")]
    return [re.sub(r'"\s+f?"', "", path.read_text(encoding="utf-8")) for path in files]


@pytest.mark.parametrize("phrase", PLAIN)
def test_an_old_phrase_is_nowhere(texts, phrase):
    assert not [text for text in texts if phrase in text], PLAIN[phrase]
