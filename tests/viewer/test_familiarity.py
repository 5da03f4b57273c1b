"""An input that the model was not made for: a warning before, a mark that stays."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.ui.layers.metadata import DOUBTFUL, KEY
from napari_sparsessp.ui.predict.dock import PredictDock
from napari_sparsessp.ui.widgets.basic import Mark
from predicted import predictions

DOUBT = "the fine detail is 6 times stronger than in what the model learned from"


@pytest.fixture
def doubtful(dock, engine):
    """A dock whose input is unlike anything; DNA is to be predicted."""
    engine.doubts = (DOUBT,)
    dock.form.structures.tick(("dna",))
    return dock


def test_the_warning_is_there_before_the_first_tile_and_stays_if_cancelled(
    doubtful, viewer, engine, finish, qtbot
):
    engine.wait_at = 0
    doubtful.run()
    message = doubtful.form.foot.message
    qtbot.waitUntil(lambda: message.isVisibleTo(doubtful))
    assert doubtful.run_in_progress is not None
    assert engine.computed == []
    assert message.text.text() == f"{DOUBT[0].upper()}{DOUBT[1:]}."
    assert not message.is_error
    doubtful.cancel()
    finish(doubtful)
    engine.wait_at, engine.tile = 2, 32
    doubtful.run()
    qtbot.waitUntil(lambda: len(engine.computed) == 2)
    doubtful.cancel()
    finish(doubtful)
    assert predictions(viewer)[0].name.endswith(DOUBTFUL)
    assert predictions(viewer)[0].metadata[KEY]["unfamiliar"] == [DOUBT]


def test_a_mark_stays_with_layers_table_and_provenance(doubtful, viewer, ran):
    ran(doubtful)
    (layer,) = predictions(viewer)
    assert layer.name == f"DNA · predicted{DOUBTFUL}"
    about = layer.metadata[KEY]
    assert about["unfamiliar"] == [DOUBT]
    assert about["provenance"]["unfamiliar"] == [DOUBT]
    model = doubtful.form.structures
    mark = model.columns[0].mark
    assert mark(model.row("dna")) is Mark.WARN
    cell = model.index(model.place("dna"), 0)
    assert DOUBT in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert mark(model.row("nucleolus")) is None
    assert doubtful.form.foot.message.text.text().count("fine detail") == 1
    again = PredictDock(viewer)
    assert [r.structure.id for r in again.form.structures.rows if r.doubts] == ["dna"]
    again.deleteLater()


def test_a_familiar_input_takes_the_mark_away_and_keeps_the_name(
    doubtful, viewer, engine, ran
):
    ran(doubtful)
    predictions(viewer)[0].name = f"my nuclei{DOUBTFUL}"
    engine.doubts = ()
    ran(doubtful)
    (layer,) = predictions(viewer)
    assert layer.name == "my nuclei"
    assert layer.metadata[KEY]["unfamiliar"] == []
    assert not any(row.doubts for row in doubtful.form.structures.rows)
