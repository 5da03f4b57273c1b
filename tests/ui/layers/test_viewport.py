"""The holder of what is on screen: it waits for the first answer, but not for ever."""

import threading

from napari_sparsessp.ui.layers import viewport
from napari_sparsessp.ui.layers.viewport import ViewportHolder

BOX = (None, (slice(0, 1),) * 3)


def test_the_first_question_waits_for_the_answer():
    holder = ViewportHolder()
    holder.expect()
    threading.Timer(0.05, holder.set, [BOX]).start()
    assert holder() == BOX
    assert ViewportHolder()() is None, "nothing is expected"


def test_an_answer_that_does_not_come_is_not_waited_for_twice(monkeypatch):
    monkeypatch.setattr(viewport, "_PATIENCE_S", 0.05)
    holder = ViewportHolder()
    holder.expect()
    assert holder() is None
    monkeypatch.setattr(viewport, "_PATIENCE_S", 60)
    assert holder() is None
