"""What is written on layers, and read from them again."""

from types import SimpleNamespace

import pytest

from napari_sparsessp.ui.layers.metadata import (
    DOUBTFUL,
    KEY,
    channel_of,
    first_look,
    is_prediction,
    mark_doubts,
    role_of,
    set_truth,
    structure_of,
    truth_of,
)


def layer(name="DNA · predicted", **about):
    return SimpleNamespace(name=name, metadata={KEY: about, "theirs": 1})


@pytest.mark.parametrize("metadata", [{}, {KEY: "text"}, {KEY: {"role": "other"}}])
def test_what_is_not_ours_has_no_role(metadata):
    assert role_of(SimpleNamespace(metadata=metadata)) == ""


def test_a_channel_belongs_to_its_structure():
    channels = ("dna", "odd_std", "dna_std")
    assert structure_of("dna_std", channels) == "dna"
    assert structure_of("dna", channels) == "dna"
    assert structure_of("odd_std", channels) == "odd_std"  # a structure of that name
    assert channel_of(layer(structure="dna")) == "dna"  # as older versions wrote it
    assert channel_of(layer(structure="dna", channel="dna_std")) == "dna_std"
    assert is_prediction(layer(role="prediction"))
    assert not is_prediction(layer(role="uncertainty"))


def test_doubts_come_and_go_and_leave_the_rest_alone():
    one = layer(state="done")
    mark_doubts(one, ["it is noise"])
    mark_doubts(one, ["it is noise"])
    assert one.name == f"DNA · predicted{DOUBTFUL}"
    assert one.metadata == {
        KEY: {"state": "done", "unfamiliar": ["it is noise"]},
        "theirs": 1,
    }
    mark_doubts(one, [])
    assert one.name == "DNA · predicted"
    assert one.metadata[KEY]["unfamiliar"] == []


def test_uncertainty_looks_unlike_any_structure():
    dna, spread = first_look("dna", "prediction"), first_look("dna", "uncertainty")
    assert dna["name"] == "DNA · predicted"
    assert spread["name"] == "DNA ± std · predicted"
    assert dna["colormap"] != spread["colormap"]


def real(name, key):
    return SimpleNamespace(name=name, unique_id=key)


def test_another_truth_takes_the_scores_of_the_old_one_away():
    one = layer(role="prediction", state="done", scores={"r2": 0.5})
    set_truth(one, real("DNA", "a"))
    assert truth_of(one) == "a"
    one.metadata[KEY]["scores"] = {"r2": 0.6}
    set_truth(one, real("DNA", "a"))  # the same once more keeps its scores
    assert one.metadata[KEY].pop("scores") == {"r2": 0.6}
    assert one.metadata[KEY]["truth"] == "DNA"
    assert "scores" not in one.metadata[KEY]
    assert one.metadata[KEY]["state"] == "done"
    assert one.metadata["theirs"] == 1
    set_truth(one, None)
    assert truth_of(one) is None
    assert "truth" not in one.metadata[KEY]
