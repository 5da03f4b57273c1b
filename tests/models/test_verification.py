"""A model file can tell that it is what it was."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import published
from napari_sparsessp.models import library, verification
from napari_sparsessp.models.card import Check, parse_card
from napari_sparsessp.models.importing import (
    answers_for,
    import_checkpoint,
    inspect_checkpoint,
)
from napari_sparsessp.models.library import load_model, save_model
from napari_sparsessp.models.verification import noise, verify_model
from napari_sparsessp.models.weights import CARD_KEY, read_header


@pytest.fixture
def model(tmp_path):
    published.repmode(tmp_path / "m.p")
    answers = answers_for(inspect_checkpoint(tmp_path / "m.p"))
    return import_checkpoint(tmp_path / "m.p", answers, tmp_path / "models")


def with_card(path, **changes):
    """Write the card anew, the weights as they are."""
    card = library.card_of(path).model_copy(update=changes)
    save_file(load_file(path), path, {CARD_KEY: card.to_json(indent=None)})


def test_the_test_input_never_changes():
    """Cards of years ago must stay true: these numbers are part of the format."""
    x = noise(0, (2, 3))
    assert x.dtype == np.float32
    np.testing.assert_allclose(
        x.reshape(-1)[:3], [0.4744492, -0.7974822, -1.5901144], atol=1e-6
    )
    many = noise(1, (100_000,))
    assert abs(many.mean()) < 0.02
    assert abs(many.std() - 1) < 0.01


@pytest.mark.parametrize("bit", [0, 3, 22])
def test_one_changed_bit_of_a_weight_fails(model, bit):
    start, end = read_header(model).offsets["encoder.levels.0.units.0.conv.expert_5"]
    content = bytearray(model.read_bytes())
    content[(start + end) // 2 // 4 * 4 + bit // 8] ^= 1 << bit % 8
    model.write_bytes(content)
    verdict = verify_model(model)
    assert not verdict.ok
    assert "weights are not those of its card" in verdict.text


def test_a_program_that_computes_something_else_fails(model):
    check = library.card_of(model).check
    values = (check.values[0] + 10 * check.tolerance, *check.values[1:])
    with_card(model, check=check.model_copy(update={"values": values}))
    verdict = verify_model(model)
    assert not verdict.ok
    assert "does not give what its card says" in verdict.text


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": (10**9,), "values": (0.0,)},
        {"outputs": (7,)},
        {"shape": (1, 32, 5, 5)},
        {"shape": (3, 32, 8, 8)},
    ],
)
def test_a_card_whose_test_does_not_fit_the_network_fails(model, changes):
    check = library.card_of(model).check
    with_card(model, check=check.model_copy(update=changes))
    assert not verify_model(model).ok


def test_a_check_cannot_ask_for_more_memory_than_there_is(model):
    raw = json.loads(library.card_of(model).to_json())
    raw["check"]["shape"] = [1, 4096, 4096, 4096]
    with pytest.raises(Exception, match="test input is too large"):
        parse_card(json.dumps(raw), "here")
    with pytest.raises(ValueError, match="position without a value"):
        Check.model_validate({**raw["check"], "shape": [1, 1, 1, 1], "values": []})


def test_a_check_holds_on_any_number_of_threads(model):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            verdict = verify_model(model)
            assert verdict.ok
            assert "weights and test values agree" in verdict.text
    finally:
        torch.set_num_threads(before)


def test_a_damaged_file_and_a_card_without_a_check_are_verdicts(model):
    with_card(model, check=None)
    verdict = verify_model(model)
    assert verdict.ok
    assert "nothing to compare with" in verdict.text
    model.write_bytes(model.read_bytes()[:-5])
    verdict = verify_model(model)
    assert not verdict.ok
    assert "is damaged" in verdict.text


def test_the_shipped_models_are_those_of_the_table():
    folder = library.shipped_folder()
    table = json.loads((folder / verification.SHIPPED_CHECKS).read_text())
    assert table.keys() == {path.name for path in folder.glob("*.safetensors")}
    for name in table:
        verdict = verify_model(folder / name)
        assert verdict.ok, verdict.text
        assert verdict.text.startswith("file, weights and test values")


def test_a_changed_shipped_model_fails(tmp_path, monkeypatch):
    shipped = library.shipped_folder()
    loaded = load_model(shipped / "colony-3to2d.safetensors")
    folder = tmp_path / "weights"
    folder.mkdir()
    table = (shipped / verification.SHIPPED_CHECKS).read_text()
    (folder / verification.SHIPPED_CHECKS).write_text(table)
    loaded.network.head.bias[0] += 1e-3
    save_model(folder / "colony-3to2d.safetensors", loaded.network, loaded.card)
    monkeypatch.setattr(verification, "shipped_folder", lambda: folder)
    verdict = verify_model(folder / "colony-3to2d.safetensors")
    assert not verdict.ok
    assert "not the shipped one" in verdict.text
