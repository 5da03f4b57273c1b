"""Bundles on disk: made whole or not at all, and hostile until they are read."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundled import MEMBERS, make, save_members
from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models.bundle import make_bundle
from napari_sparsessp.models.bundle_file import (
    BUNDLE_NAME,
    LARGEST_FILE,
    BundleFile,
    Member,
    read_bundle,
)
from napari_sparsessp.models.card import ModelCard, all_qualities, parse_card
from napari_sparsessp.models.library import (
    IdTaken,
    all_entries,
    card_of,
    find_model,
    list_models,
    load_model,
    weights_file,
)
from napari_sparsessp.models.manage import (
    add_model,
    delete_model,
    export_model,
    rename_model,
    restore_model,
)
from napari_sparsessp.models.verification import verify_model
from napari_sparsessp.tasks import Cancelled
from thin import a_card, save_random, thin_network


@pytest.fixture
def bundle(tmp_path):
    return make(tmp_path / "members")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def entry_of(path):
    return next(entry for entry in all_entries() if entry.path == path)


def edit(bundle, **changes):
    """Change fields of the bundle's file."""
    file = bundle / BUNDLE_NAME
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_bundle_is_one_model_with_a_card_of_its_members(bundle, own_models_folder):
    assert bundle == own_models_folder / "several" == find_model("several")
    assert find_model(bundle / BUNDLE_NAME) == bundle
    entry = entry_of(bundle)
    assert entry.problem == ""
    assert entry.size == sum(path.stat().st_size for path in bundle.iterdir())
    assert entry.size > sum(entry.sizes) > 0
    card = entry.card
    assert card in list_models()
    assert card.structures == ("dna", "tight_junction", "mitochondria", "nucleolus")
    assert [member.id for member in card.members] == ["thin-0", "thin-1", "thin-2"]
    assert (card.licence, card.voxel_size) == ("BSD-3-Clause", (0.29, 0.29, 0.29))


def test_it_loads_one_member_at_a_time_and_knows_a_changed_one(bundle):
    model = load_model("several")
    assert len(model.sha256) == 64
    assert model.member("thin-1").card.structures == ("mitochondria",)
    with pytest.raises(ModelError, match=r"several networks .* name one of the"):
        _ = model.network
    names = {"id": "thin-1", "structures": ("mitochondria",)}
    one = bundle / "thin-1.safetensors"
    save_random(one, thin_network(outputs=1), seed=9, **names)
    assert load_model("several").sha256 != model.sha256
    with pytest.raises(ModelError, match="has changed"):
        model.member("thin-1")


def test_the_order_of_members_is_part_of_its_digest(bundle):
    before = load_model(bundle).sha256
    edit(
        bundle, members=json.loads((bundle / BUNDLE_NAME).read_text())["members"][::-1]
    )
    assert load_model(bundle).sha256 != before


def test_what_differs_among_members_is_joined(tmp_path):
    scored = {"r2_by_structure_and_ratio": {"dna": {"1": 0.5}}}
    fields = ({"modality": "bright-field", "licence": "MIT", "ratios": (1, 2)},
              {"modality": "DIC", "licence": "GPL-3.0", "ratios": (1, 4)})  # fmt: skip
    paths = [
        save_random(
            tmp_path / f"{k}.safetensors",
            thin_network(outputs=1),
            id=f"m{k}",
            limits=("Both.", f"Only {k}."),
            scores={"cells": {**scored, "data": "real"}},
            **more,
        )
        for k, more in enumerate(fields)
    ]
    card = card_of(make_bundle("both", "Both lights", paths))
    assert card.modality == "bright-field, DIC"
    assert card.modalities == ("bright-field", "DIC")
    assert card.licence == "MIT; GPL-3.0"
    assert card.structures == ("dna",)
    assert card.ratios == (1.0,)
    assert card.limits[0] == "Both."
    assert card.limits[1].endswith(": Only 0.")
    (quality,) = all_qualities(card)
    assert (quality.at("dna", 1), quality.data) == (0.5, "real")


DISAGREE = {
    "voxels of": {"voxel_size": (0.29, 0.1, 0.1)},
    "projection over z": {"z_projection": "max"},
    "both predict dna": {},
}


@pytest.mark.parametrize("why", DISAGREE)
def test_members_that_make_no_one_model_are_refused(tmp_path, own_models_folder, why):
    (first,) = save_members(tmp_path, [("dna",)])
    other = save_random(
        tmp_path / "other.safetensors", thin_network(outputs=1), **DISAGREE[why]
    )
    with pytest.raises(ModelError, match=why):
        make_bundle("two", "Two", [first, other])
    assert names_in(own_models_folder) == []


@pytest.mark.parametrize(("id_", "name"), [("No Id", "x"), ("../up", "x"), ("ok", " ")])
def test_ids_and_names_that_cannot_be_are_one_line(tmp_path, id_, name):
    with pytest.raises(InputError, match="no bundle can be made"):
        make_bundle(id_, name, save_members(tmp_path, [("dna",)]))
    with pytest.raises(InputError, match="no bundle can be made"):
        make_bundle("ok", "ok", [])


def test_it_is_made_whole_or_not_at_all(tmp_path, own_models_folder):
    """Also where one is replaced: the old one stays until the new one is there."""
    old = make(tmp_path / "a")
    with pytest.raises(IdTaken):
        make(tmp_path / "a")
    steps = []

    def stop(done, total=None, what=""):
        steps.append(done / total)
        if done / total > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        make(tmp_path / "b", MEMBERS[::-1], overwrite=True, progress=stop)
    assert steps == sorted(steps)
    assert names_in(own_models_folder) == ["several"]
    assert card_of(old).structures[0] == "dna"
    make(tmp_path / "b", MEMBERS[::-1], overwrite=True)
    assert card_of(old).structures[0] == "nucleolus"
    assert names_in(own_models_folder) == ["several"]


def test_it_is_renamed_exported_added_deleted_and_restored(bundle, tmp_path):
    assert rename_model(bundle, " Another  name ").name == "Another name"
    before = load_model(bundle).sha256
    out = tmp_path / "copy"
    assert export_model("several", out) == out
    assert names_in(out) == names_in(bundle)
    with pytest.raises(OutputError, match="exists already"):
        export_model("several", out)
    export_model("several", out, overwrite=True)
    with pytest.raises(IdTaken):
        add_model(out)
    added = add_model(out / BUNDLE_NAME, id="again", source={"fetched": "a"})
    card = card_of(added)
    assert (card.id, card.name) == ("again", "Another name")
    assert card.source == {"fetched": "a"}
    assert load_model("again").sha256 == before
    deleted = delete_model(bundle)
    assert not bundle.exists()
    assert restore_model(deleted) == bundle
    assert load_model("several").sha256 == before


def test_an_export_never_replaces_what_is_no_bundle(bundle, tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    (place / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="is no bundle"):
        export_model(bundle, place, overwrite=True)
    with pytest.raises(OutputError, match="is the model itself"):
        export_model(bundle, bundle, overwrite=True)
    with pytest.raises(OutputError, match="one file cannot hold"):
        export_model(bundle, tmp_path / "one.safetensors")
    assert names_in(place) == ["precious.txt"]
    assert len(names_in(bundle)) == 4


def test_each_member_is_verified_and_the_bad_one_named(bundle):
    verdict = verify_model("several")
    assert verdict.ok
    assert verdict.text.startswith("3 members, each: ")
    member = bundle / "thin-1.safetensors"
    content = bytearray(member.read_bytes())
    content[-4:] = b"\xff\xff\xff\x7f"  # not a number
    member.write_bytes(content)
    verdict = verify_model("several")
    assert not verdict.ok
    assert "thin-1.safetensors" in verdict.text


HOSTILE = {
    "a path": {"members": [{"file": "../thin.safetensors"}]},
    "an absolute path": {"members": [{"file": "/etc/passwd"}]},
    "a hidden file": {"members": [{"file": ".thin.safetensors"}]},
    "another kind of file": {"members": [{"file": "thin.pth"}]},
    "no members": {"members": []},
    "too many": {"members": [{"file": f"{k}.safetensors"} for k in range(101)]},
    "one twice": {"members": [{"file": "thin-0.safetensors"}] * 2},
    "a file that is not there": {"members": [{"file": "thin-9.safetensors"}]},
    "a bad id": {"id": "../../up"},
    "more than it knows": {"run": "rm -rf"},
    "a later schema": {"schema": 99},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_bundle_is_listed_as_damaged_in_one_line(bundle, what):
    edit(bundle, **HOSTILE[what])
    entry = entry_of(bundle)
    assert entry.card is None
    assert "\n" not in entry.problem
    assert "again" in entry.problem or "update" in entry.problem


@pytest.mark.parametrize(
    "text", [b"", b"[" * 50_000, b"\xff\xfe", b"3", b" " * 300_000]
)
def test_what_is_no_file_of_a_bundle_is_one_line(bundle, text):
    assert len(text) < 2 * LARGEST_FILE
    (bundle / BUNDLE_NAME).write_bytes(text)
    with pytest.raises(ModelError, match="is damaged; get its folder again"):
        card_of(bundle)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ("schema", "id", "name", "licence", "citation", "source", "members", "other")


KEYS = st.sampled_from(FIELDS) | st.text(max_size=5)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
@example({"a\nb": 1})
@settings(max_examples=40, deadline=None)
def test_whatever_a_bundle_says_it_is_a_card_or_one_line(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("bundle")
    member = Member(file="a.safetensors")
    whole = BundleFile(id="x", name="X", members=(member,))
    (folder / member.file).write_bytes(b"")
    content = json.loads(whole.to_json()) | changes
    (folder / BUNDLE_NAME).write_text(json.dumps(content), encoding="utf-8")
    said = ""
    try:
        read_bundle(folder)
    except ModelError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_member_lies_in_the_folder_itself(bundle, tmp_path, kind):
    """No link that leads elsewhere, and no bundle in a bundle."""
    member = bundle / "thin-0.safetensors"
    member.unlink()
    if kind == "link":
        member.symlink_to(tmp_path / "members" / member.name)
    else:
        make_bundle("inner", "Inner", save_members(tmp_path, [("dna",)])).rename(member)
    with pytest.raises(ModelError, match="no such file in it"):
        card_of(bundle)


def test_the_card_of_a_file_has_no_members():
    card = a_card(
        id="x", structures=("dna",), topology="3d", mapping="prefix",
        conditioning="multihead", network={}, patch=(8, 8, 8),
    )  # fmt: skip
    assert "members" not in card.to_json()
    whole = card.model_copy(update={"members": (card,)})
    assert ModelCard.model_validate_json(whole.to_json()) == whole
    with pytest.raises(ModelError, match="lists members"):
        parse_card(whole.to_json(), "x")


def test_a_member_alone_is_a_model_and_the_bundle_no_file(bundle):
    assert card_of(bundle / "thin-2.safetensors").structures == ("nucleolus",)
    with pytest.raises(ModelError, match="is a bundle of several models"):
        weights_file(bundle)
