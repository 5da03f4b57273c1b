"""Which tile probably comes next, so that its input can be read meanwhile."""

from collections.abc import Sequence

from napari_sparsessp.prediction.tiling import Tile


class Successor:
    """Guess the next tile from the last ones.

    Tiles come plane windows outermost, as they were cut, or column by column: all
    windows of one place in y and x, then the next place.

    Parameters
    ----------
    tiles : sequence of Tile
        As `cut_tiles` gives them.
    """

    def __init__(self, tiles: Sequence[Tile]) -> None:
        self._by_window = list(tiles)
        places = {_place(tile): None for tile in tiles}
        order = {place: index for index, place in enumerate(places)}
        self._by_column = sorted(tiles, key=lambda tile: (order[_place(tile)], tile.z))
        self._in_columns = True
        self._last: Tile | None = None

    def after(self, tile: Tile) -> Tile | None:
        """Give the tile that probably comes after this one; None where none does."""
        last, self._last = self._last, tile
        if last is not None and last != tile:
            if _place(last) == _place(tile):
                self._in_columns = True
            elif last.z == tile.z:
                self._in_columns = False
        order = self._by_column if self._in_columns else self._by_window
        try:
            index = order.index(tile) + 1
        except ValueError:  # a part of a tile, or one of another tiling
            return None
        return order[index] if index < len(order) else None


def _place(tile: Tile) -> tuple[tuple[int, int], tuple[int, int]]:
    return tile.read_y, tile.read_x
