"""What is on screen comes first."""

from napari_sparsessp.prediction.tiling import TileSize, cut_tiles, next_tile

TILES = cut_tiles((48, 128, 128), TileSize(16, (32, 32), halo=8))
ALL = list(range(len(TILES)))


def test_the_tile_on_screen_is_next():
    """The view's own plane and field decide."""
    box = (slice(40, 41), slice(70, 90), slice(100, 120))
    tile = TILES[next_tile(ALL, TILES, box)]
    for (start, stop), seen in zip(tile.core, box, strict=True):
        assert start < seen.stop
        assert seen.start < stop


def test_without_a_view_the_order_stays():
    """Nobody looks: first come, first served."""
    assert next_tile([5, 2, 9], TILES, None) == 5


def test_all_tiles_on_screen_come_before_the_rest():
    """Tiles are taken by their distance from the view."""
    box = (slice(0, 1), slice(0, 128), slice(0, 40))
    waiting, gaps = list(ALL), []
    while waiting:
        index = next_tile(waiting, TILES, box)
        waiting.remove(index)
        core = TILES[index].core
        gaps.append(core[0][0] == 0 and core[2][0] < 40)
    assert gaps == sorted(gaps, reverse=True)
