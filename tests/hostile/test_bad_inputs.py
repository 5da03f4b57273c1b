"""One line for each bad input, and the plain result for each odd but good one."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from hostile.conftest import same
from hostile.desk import MARK, everything, little_memory, run
from hostile.table import SECTIONS, cell, page, plain, rows
from napari_sparsessp import load_volume

PAGE = Path(__file__).resolve().parents[2] / "docs/generated/bad-inputs.md"


def by_command_line():
    """Every row; an accepted one with the words of a row before it is exhaustive.

    Such a row differs in how it is read, which `test_an_odd_stack_is_read…` below
    sees without a prediction.
    """
    seen = set()
    for section, cases in SECTIONS.items():
        for case in cases:
            again = is_read_alone(case) and (section, case.said) in seen
            seen.add((section, case.said))
            marks = pytest.mark.exhaustive if again else ()
            yield pytest.param(section, case, id=f"{section}-{case}", marks=marks)


def is_read_alone(case):
    """Whether reading a row shows all that it is about."""
    return case.accepted and case.like is not None


@pytest.mark.parametrize(
    ("section", "case"),
    [
        pytest.param(section, case, id=f"{section}-{case}")
        for section, cases in SECTIONS.items()
        for case in cases
        if is_read_alone(case)
    ],
)
def test_an_odd_stack_is_read_as_the_plain_one(section, case, desk, expected):
    arguments = case.make(desk)
    if arguments != desk.predict(arguments[-1]):  # options are the command line's
        assert run(arguments).code == 0
        assert same(load_volume(desk.out).numpy(), expected(case.like))
        return
    with little_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the command line tells them
        found = np.squeeze(load_volume(arguments[-1]).numpy())
    assert found.shape == case.like.shape
    np.testing.assert_allclose(standard(found), standard(case.like), atol=1e-3)


def standard(array):
    """Mean 0 and deviation 1, as a network gets it: units do not count."""
    array = array.astype(np.float64)
    return (array - array.mean()) / array.std()


@pytest.fixture(scope="module")
def written():
    """What the page says, row by row."""
    return rows(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("section", "case"), list(by_command_line()))
def test_what_is_given_gets_what_the_page_says(
    section, case, desk, expected, written, capfd
):
    arguments = case.make(desk)
    before = everything(desk.folder)
    wanted = expected(case.like) if case.accepted and case.like is not None else None
    with little_memory():
        outcome = run(arguments)
    told = outcome.told(desk.folder, desk.model.parent)
    assert outcome.code == (0 if case.accepted else 2), outcome.err
    assert re.search(case.said, told), told
    if case.accepted:
        found = load_volume(desk.out).numpy()
        assert np.isfinite(found).all()
        assert wanted is None or same(found, wanted)
        assert outcome.lines == []
        assert bool(told) == bool(case.said), told
    else:
        assert len(outcome.lines) == 1, outcome.err
        assert outcome.lines[0].startswith(MARK)
        assert outcome.out == ""
        assert everything(desk.folder) == before
    assert "Traceback" not in "".join(capfd.readouterr())
    if case.steady:
        assert plain(cell(told)) == plain(written[section, case.given])


def test_the_page_has_these_rows_and_no_others(written):
    assert list(written) == [
        (section, case.given) for section, cases in SECTIONS.items() for case in cases
    ]


def test_the_page_is_written_as_it_is_read():
    told = {
        (section, case.given): f"{case.given} | <b> *"
        for section, cases in SECTIONS.items()
        for case in cases
    }
    assert rows(page(told)) == {key: cell(text) for key, text in told.items()}
