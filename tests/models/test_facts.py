"""What is known of shipped models: for their very weights, and for nothing else."""

import pytest

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import Calibration, Range
from napari_sparsessp.models.facts import (
    FACTS_NAME,
    Facts,
    read_facts,
    with_facts,
    write_facts,
)
from napari_sparsessp.models.registry import list_models, read_card, shipped_folder


def _facts(card, **changes):
    fields = {
        "tensors": card.check.tensors,
        "uncertainty": {"dna": Calibration(floor=0.4, gain=3)},
        "familiarity": {"fine": (Range(low=-1, high=1),)},
    }
    return Facts(**(fields | changes))


@pytest.fixture
def card():
    return read_card().model_copy(update={"uncertainty": {}, "familiarity": {}})


def test_facts_come_back_from_their_file_onto_the_card(card, tmp_path):
    facts = {card.id: _facts(card)}
    write_facts(tmp_path, facts)
    assert read_facts(tmp_path) == facts
    full = with_facts(card, tmp_path)
    assert full.uncertainty["dna"].gain == 3
    assert full.familiarity["fine"][0].high == 1
    assert full.model_copy(update={"uncertainty": {}, "familiarity": {}}) == card


def test_facts_of_other_weights_do_not_count(card, tmp_path):
    write_facts(tmp_path, {card.id: _facts(card, tensors="0" * 64)})
    assert with_facts(card, tmp_path) == card


def test_what_a_card_says_itself_stays(card, tmp_path):
    write_facts(tmp_path, {card.id: _facts(card)})
    own = card.model_copy(update={"familiarity": {"fine": (Range(low=0, high=2),)}})
    assert with_facts(own, tmp_path).familiarity == own.familiarity


def test_a_folder_without_facts_changes_nothing(card, tmp_path):
    assert with_facts(card, tmp_path) == card


def test_damaged_facts_are_one_clear_error(card, tmp_path):
    (tmp_path / FACTS_NAME).write_text('{"colony": {"tensors": 3}}')
    with pytest.raises(ModelError, match="install napari-sparsessp again"):
        with_facts(card, tmp_path)


def test_the_shipped_facts_are_of_the_shipped_weights():
    """Otherwise: python -m benchmarks.figures.familiarity ranges."""
    facts = read_facts(shipped_folder())
    cards = {card.id: card for card in list_models()}
    assert facts
    for model_id, one in facts.items():
        assert one.tensors == cards[model_id].check.tensors
        assert set(one.uncertainty) <= set(cards[model_id].structures)


def test_every_shipped_model_knows_what_it_learned_from():
    facts = read_facts(shipped_folder())
    for path in shipped_folder().glob("*.safetensors"):
        assert len(facts[path.stem].familiarity) >= 7


def test_every_colony_model_knows_its_errors():
    facts = read_facts(shipped_folder())
    for card in list_models():
        if card.id.startswith("colony"):
            assert set(facts[card.id].uncertainty) == set(card.structures)
            assert card.uncertainty == facts[card.id].uncertainty


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Range(low=1, high=1)
