"""The fake engine for tests of widgets that need no viewer."""

import pytest

from fake_engine import FakeEngine
from fake_engine import card as make_card


@pytest.fixture
def engine():
    """An engine without a network."""
    return FakeEngine()


@pytest.fixture
def card():
    """A card as the shipped model's; a call changes fields."""
    return make_card


@pytest.fixture
def added(qtbot):
    """`added(widget)`: the same, and gone after the test."""

    def go(widget):
        qtbot.addWidget(widget)
        return widget

    return go
