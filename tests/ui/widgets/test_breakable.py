"""Long words may wrap, short ones and sentences stay as they are."""

from napari_sparsessp.ui.widgets.style import breakable


def test_long_words_get_places_to_wrap_and_look_the_same():
    path = "/home/ada/.local/share/napari-sparsessp/samples"
    wrapped = breakable(f"it lies in {path} now")
    assert wrapped.replace("\u200b", "") == f"it lies in {path} now"
    assert max(len(part) for part in wrapped.split("\u200b")) < 24


def test_short_words_stay():
    text = "CC BY-NC 4.0, e.g. 3.14 or a/b\nand more"
    assert breakable(text) == text
