"""How large tiles are: as large as memory allows, up to what is useful."""

from collections.abc import Iterator

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.tiling import TileSize

USEFUL_CORE = {"cpu": 384, "mps": 512, "cuda": 1024}
"""Pixels along a side. Larger tiles waste less halo, and smaller ones show sooner: on
two cores of a CPU the first tile should be there within about a second, a data-centre
GPU takes less than that for one of 1024 and needs as much to be busy."""

FADE = 8  # pixels on each side of a cut over which neighbours cross-fade
LARGEST_HALO = 96
"""Pixels that are computed to be thrown away, at most, so that no cut can be seen."""

FAINT_HALO = 48
"""Pixels of a network that reaches further: what lies beyond counts little, and the
published sliding window (128, half overlap) gives it less."""

SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32)
"""Cores that are tried. Few, so that a little more or less memory changes nothing;
below the smallest the halo is nearly all of a tile."""


def tile_sizes(
    card: ModelCard,
    network: NetworkConfig,
    request: PredictionRequest,
    device: str = "cpu",
) -> Iterator[TileSize]:
    """Give the sizes that could be used, the largest first.

    Parameters
    ----------
    card : ModelCard
    network : NetworkConfig
        That of the card.
    request : PredictionRequest
        Its tile is an upper bound, also above what is useful otherwise.
    device : {"cpu", "cuda", "mps"}

    Raises
    ------
    InputError
        The request's tile has no size.
    """
    if request.tile is not None and min(request.tile) < 1:
        raise InputError(f"tile {request.tile} cannot be used; give sizes above 0")
    halo = network.reach if network.reach <= LARGEST_HALO else FAINT_HALO
    most = USEFUL_CORE.get(device, USEFUL_CORE["cpu"])
    if network.sees_whole:
        # Its norms want windows of the size that they were trained with.
        halo = card.patch[1] // 4 - FADE
        most = max(card.patch[1] - 2 * (halo + FADE), network.stride)
    largest = (most, most)
    if request.tile is not None and not network.sees_whole:
        largest = request.tile[1:]
    cores = [largest]
    if not network.sees_whole:  # of one that does, other tiles give other numbers
        cores += [(min(side, largest[0]), min(side, largest[1])) for side in SIDES]
    for core in dict.fromkeys(cores):
        yield TileSize(
            network.depth,
            core,
            network.stride,
            halo=halo,
            fade=FADE,
            overlap=0.5 if request.overlap is None else request.overlap,
            step=network.ratio,
        )


def tile_notes(
    card: ModelCard, network: NetworkConfig, request: PredictionRequest, size: TileSize
) -> list[str]:
    """Say where tiles have another size than somebody asked for."""
    if request.tile is None:
        return []
    notes = []
    if request.tile[0] < card.patch[0]:
        notes.append(
            f"tile depth {request.tile[0]} is smaller than the network's window; "
            f"{card.patch[0]} planes are used"
        )
    y, x = size.core
    if size.core == request.tile[1:]:
        return notes
    if network.sees_whole:
        notes.append(
            f"tiles of {y}×{x} pixels are used: the norms of this network look at all "
            "of a tile, so with others it would give other numbers"
        )
    else:
        notes.append(
            f"memory allows tiles of {y}×{x} pixels, not of "
            f"{request.tile[1]}×{request.tile[2]}; give more with --memory-limit or "
            "close other programs"
        )
    return notes
