"""The ledger says what is on disk, also when it was cut off within a word."""

from hypothesis import given, settings
from hypothesis import strategies as st
from napari_sparsessp.io.ledger import Ledger


def _facts(ledger):
    return ledger.header, ledger.planes, ledger.settled, ledger.scalings


def _filled(path):
    ledger = Ledger(path)
    ledger.open({"model": "µ"})
    states = [_facts(Ledger(path))]
    for note, values in (
        (ledger.note_scaling, (0, {"mean": 0.1, "std": 1 / 3, "left_out": [2]})),
        (ledger.note_planes, (0, 0, 4)),
        (ledger.note_planes, (0, 0, 8)),
        (ledger.note_settled, (0, 0)),
        (ledger.note_planes, (1, 3, 8)),
    ):
        note(*values)
        states.append(_facts(Ledger(path)))
    ledger.close()
    return states


def test_what_is_noted_is_read_again(tmp_path):
    last = _filled(tmp_path / "ledger")[-1]
    assert last == (
        {"model": "µ"},
        {(0, 0): 8, (1, 3): 8},
        {(0, 0)},
        {0: {"mean": 0.1, "std": 1 / 3, "left_out": [2]}},
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_cut_anywhere_it_says_what_was_whole_and_takes_more(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    states = _filled(path)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    garbage = data.draw(st.binary(max_size=8))
    path.write_bytes(content[:cut] + garbage.replace(b"\n", b""))
    found = Ledger(path)
    assert _facts(found) == (
        states[content[:cut].count(b"\n") - 1] if b"\n" in content[:cut]
        else (None, {}, set(), {})
    )  # fmt: skip
    if found.header is not None:
        found.open()
        found.note_planes(7, 7, 7)
        found.close()
        assert Ledger(path).planes == found.planes
        assert Ledger(path).planes[7, 7] == 7


def test_a_new_one_forgets_the_old(tmp_path):
    path = tmp_path / "ledger"
    _filled(path)
    new = Ledger.new(path)
    assert new.header is None
    new.open({"model": "other"})
    new.close()
    assert _facts(Ledger(path)) == ({"model": "other"}, {}, set(), {})
