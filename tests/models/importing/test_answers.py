"""What a file does not say, what suggests itself, and what is never taken unasked."""

import pytest

import published
from napari_sparsessp.errors import InputError
from napari_sparsessp.models.importing import answers_for, inspect_checkpoint
from napari_sparsessp.models.importing.answers import (
    PUBLISHED_TWELVE,
    ratio_in_name,
    structure_ids,
)


def asked(found):
    return {question.name: question.suggestion for question in found.questions}


def test_repmode_names_its_structures_and_asks_only_for_what_was_published(tmp_path):
    published.repmode(tmp_path / "model_best_10.p", ("dna", "lamin_b1", "tom20"))
    found = inspect_checkpoint(tmp_path / "model_best_10.p")
    assert found.format == "RepMode"
    assert found.structures == ("dna", "nuclear_envelope", "mitochondria")
    assert found.ratio == 1
    assert asked(found) == {"voxel_size": (0.29, 0.29, 0.29), "scaling": "zscore"}
    answers = answers_for(found)
    assert answers.ratios == (1.0,)
    assert answers.voxel_size == (0.29, 0.29, 0.29)
    assert answers.scaling == "zscore"


def test_repmode_numbers_its_structures_alphabetically_whatever_the_order_given(
    tmp_path,
):
    """The published training sorts its data sets; the options keep the order typed."""
    published.repmode(tmp_path / "m.p", ("tom20", "dna"))
    assert inspect_checkpoint(tmp_path / "m.p").structures == ("dna", "mitochondria")


def test_sparsessp_takes_the_ratio_from_the_name_and_asks_for_structures(tmp_path):
    published.sparsessp(tmp_path / "best_r8.pth")
    found = inspect_checkpoint(tmp_path / "best_r8.pth")
    assert found.format == "SparseSSP"
    assert asked(found)["ratio"] == 8
    assert asked(found)["structures"] is None
    with pytest.raises(InputError, match=r"which structures its 3 outputs.*--struc"):
        answers_for(found)
    answers = answers_for(found, structures=["dna", "lamin_b1", "tom20"])
    assert answers.ratios == (8.0,)


def test_sparsessp_without_a_ratio_anywhere_is_asked_for_it(tmp_path):
    published.sparsessp(tmp_path / "weights.pth")
    found = inspect_checkpoint(tmp_path / "weights.pth")
    assert asked(found)["ratio"] is None
    names = ["dna", "golgi", "er"]
    with pytest.raises(InputError, match="which sparsity ratio.*--ratio R"):
        answers_for(found, structures=names)
    assert answers_for(found, structures=names, ratios=(2, 4)).ratios == (2.0, 4.0)


def test_a_network_of_raw_planes_says_its_ratio_by_its_shape(tmp_path):
    published.sparsessp(tmp_path / "weights.pth", "2d", mapping="none", ratio=4)
    found = inspect_checkpoint(tmp_path / "weights.pth")
    assert found.ratio == 4
    assert "ratio" not in asked(found)


def test_twelve_outputs_are_the_published_twelve(tmp_path):
    published.sparsessp(tmp_path / "x2.pth", outputs=12)
    found = inspect_checkpoint(tmp_path / "x2.pth")
    assert answers_for(found).structures == PUBLISHED_TWELVE
    assert PUBLISHED_TWELVE[:4] == ("microtubule", "actin_filament", "desmosome", "dna")


def test_a_structure_in_the_name_of_an_fnet_file_is_suggested_and_not_taken(tmp_path):
    folder = tmp_path / "lamin_b1"
    folder.mkdir()
    published.fnet(folder / "model.p")
    found = inspect_checkpoint(folder / "model.p")
    assert asked(found)["structures"] == ("nuclear_envelope",)
    with pytest.raises(InputError, match="--structures nuclear_envelope .suggested"):
        answers_for(found)
    assert answers_for(found, structures=["lamin_b1"]).id == "lamin_b1-model"


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("best_r8.pth", 8),
        ("best_R4.pth", 4),
        ("3to2d_x2.pth", 2),
        ("ratio-8/best.pth", 8),
        ("demo_x8/best.pth", 8),
        ("best.pth", None),
        ("resnet18.pth", None),
        ("best_r0.pth", None),
        ("best_r99.pth", None),
        ("best_r2_x4.pth", None),
        ("2023x8.pth", None),
        ("epoch_r800.pth", None),
    ],
)
def test_a_ratio_is_read_from_names_that_say_one(tmp_path, name, ratio):
    assert ratio_in_name(tmp_path / "here" / name) == ratio


def test_a_ratio_that_does_not_divide_the_planes_is_none(tmp_path):
    assert ratio_in_name(tmp_path / "best_r7.pth", depth=32) is None


def test_any_name_of_a_structure_is_understood_and_others_are_kept():
    assert structure_ids(["Lamin B1", "MAP2", "zo1"]) == (
        "nuclear_envelope",
        "map2",
        "tight_junction",
    )


@pytest.mark.parametrize("name", ["", "a/b", "..", "a,b", "a\tb", "é", 7, "x" * 65])
def test_names_that_cannot_be_ids_are_refused(name):
    with pytest.raises(InputError, match="cannot be the name of a structure"):
        structure_ids([name])


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"structures": ["dna"]}, "1 structures are named for the network's 2"),
        ({"structures": ["dna", "DNA"]}, "named twice"),
        ({"id": "../x"}, "--id"),
        ({"id": "Upper"}, "--id"),
        ({"ratios": (0.5,)}, "--ratio "),
        ({"ratios": (float("nan"),)}, "--ratio "),
        ({"ratios": ()}, "--ratio "),
        ({"scaling": "loud"}, "--scaling"),
        ({"voxel_size": (0.29, 0, 0.29)}, "--voxel-size"),
        ({"name": "two\nlines"}, "--name"),
        ({"licence": "\x1b[31m"}, "--licence"),
        ({"unheard_of": 1}, "--unheard-of"),
    ],
)
def test_impossible_answers_are_refused(tmp_path, given, match):
    published.repmode(tmp_path / "m.p")
    with pytest.raises(InputError, match=match) as error:
        answers_for(inspect_checkpoint(tmp_path / "m.p"), **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("My Model (v2).p", "my-model-v2"),
        ("best.pth", "here-best"),
        ("model_best_120.p", "here-model_best_120"),
        ("ÄÖ.p", "here"),
        ("..p", "here"),
    ],
)
def test_an_id_is_made_of_the_name(tmp_path, name, wanted):
    folder = tmp_path / "Here"
    folder.mkdir()
    published.repmode(folder / "m.p")
    (folder / "m.p").rename(folder / name)
    assert answers_for(inspect_checkpoint(folder / name)).id == wanted
