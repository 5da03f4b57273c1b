"""The table of models: what its rows say, and which are kept by a search."""

from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.models.library import Entry
from napari_sparsessp.ui.models.table import COLUMNS, ModelsTable, megabytes
from napari_sparsessp.ui.widgets.table import ROW


@pytest.fixture
def entry(card):
    """`entry(id, …)`: a model of the user's; other fields go into its card."""

    def make(id_, shipped=False, size=1_000_000, **changes):
        one = card(id=id_, name=id_.title(), **changes)
        return Entry(Path(f"/models/{id_}.safetensors"), one, "", size, shipped)

    return make


@pytest.fixture
def broken():
    path = Path("/models/broken.safetensors")
    return Entry(path, None, "model file broken is damaged; get it again", 50, False)


@pytest.fixture
def table(added, entry, broken):
    table = added(ModelsTable())
    entries = [
        entry("colony-3to2d", shipped=True, size=9_300_000),
        entry("wide", structures=("dna", "golgi_apparatus"), topology="2d", size=5e9),
        entry("nuclei", structures=("dna",), ratios=(1,), licence="CC BY 4.0"),
        broken,
    ]
    table.resize(1200, 400)
    table.show()
    table.show_entries(entries)
    return table


def names(table):
    rows = range(table.order.rowCount())
    return [table.order.index(row, 0).data() for row in rows]


def test_a_row_says_what_one_asks_first(entry, broken):
    one = entry(
        "nuclei", structures=("dna",), topology="2d", source={"format": "X (a)"}
    )
    told = [column.text(one) for column in COLUMNS]
    assert told == [
        *("Nuclei", "DNA", "2D", "1.0 MB", "X"),
    ]
    assert [column.text(broken) for column in COLUMNS] == [
        *("broken.safetensors", "damaged", "", "0.1 kB", ""),
    ]
    assert megabytes(2e9) == "2.0 GB"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", 4),
        ("golgi", 2),
        ("DNA 2d", 3),  # 3to2d is the topology's own word
        ("cc by", 1),
        ("plugin", 1),
        ("damaged", 1),
        ("zebra", 0),
    ],
)
def test_a_search_keeps_rows_that_have_all_words(table, text, kept):
    table.search(text)
    assert table.order.rowCount() == kept
    table.search("")
    assert table.order.rowCount() == 4


def test_numbers_sort_as_numbers(table):
    table.order.cycle(table.rows_model.column("size"))
    assert names(table)[-1] == "Wide"
    table.order.cycle(table.rows_model.column("structures"))
    assert names(table) == ["Nuclei", "Wide", "Colony-3To2D", "broken.safetensors"]


def test_the_chosen_model_stays_chosen_when_the_list_changes(table, entry):
    table.choose(Path("/models/nuclei.safetensors"))
    table.show_entries([entry("another"), *table.entries])
    assert table.current().path.stem == "nuclei"
    table.search("zebra")
    assert table.current() is None
    table.search("")
    assert table.current().path.stem == "nuclei"
    table.choose(Path("/models/wide.safetensors"))
    rest = [one for one in table.entries if one.path.stem != "wide"]
    table.show_entries(rest)
    assert table.current().path.stem == "nuclei"  # the next row


def test_the_table_can_be_used_with_keys_and_a_screen_reader(table, qtbot):
    asked = []
    table.use_asked.connect(lambda: asked.append("use"))
    table.delete_asked.connect(lambda: asked.append("delete"))
    table.rename_asked.connect(lambda: asked.append("rename"))
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Delete, Qt.Key.Key_F2):
        qtbot.keyClick(table, key)
    assert asked == ["use", "delete", "rename"]
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert table.current() == table.order.index(1, 0).data(ROW)
    role = Qt.ItemDataRole.AccessibleTextRole
    assert table.order.index(0, 0).data(role) == "Colony-3To2D, default"
    assert table.order.index(3, 0).data(role) == "broken.safetensors, damaged"
