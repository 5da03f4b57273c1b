"""``--truth STRUCTURE=FILE[:CHANNEL]``: what the prediction is compared with."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import find_structure, match_channel
from napari_sparsessp.volume import Volume


def parse_truth(options: Iterable[str]) -> dict[str, str]:
    """Split the options into structure and source.

    Raises
    ------
    InputError
        An option has no ``=``, or a structure comes twice.
    """
    sources: dict[str, str] = {}
    for option in options:
        structure, equals, source = option.partition("=")
        if not (structure and equals and source):
            raise InputError(
                f"--truth {option!r} cannot be used; write STRUCTURE=FILE or "
                "STRUCTURE=FILE:CHANNEL, for example dna=cells.ome.tif:1"
            )
        if structure in sources:
            raise InputError(f"--truth names {structure} twice; give one file for it")
        sources[structure] = source
    return sources


def load_truth(sources: dict[str, str], structures: Sequence[str]) -> dict[str, Volume]:
    """Open the truth of each structure; no pixel is read yet.

    Parameters
    ----------
    sources : dict
        Structure to ``FILE`` or ``FILE:CHANNEL``.
    structures : sequence of str
        Ids that the model predicts.

    Raises
    ------
    InputError
        The model does not know a structure, or its file or channel is not there.
    """
    return {
        model_structure(name, structures): _open(name, source)
        for name, source in sources.items()
    }


def model_structure(name: str, structures: Sequence[str]) -> str:
    """Give the model's id for any name of a structure.

    Raises
    ------
    InputError
        The model does not predict it; the message lists what it does.
    """
    if name in structures:
        return name
    try:
        known = find_structure(name).id
    except InputError:
        known = name
    if known in structures:
        return known
    raise InputError(
        f"the model predicts no structure {name!r}; it predicts: "
        f"{', '.join(structures)}"
    )


def _open(structure: str, source: str) -> Volume:
    from napari_sparsessp.io.reading import load_volume

    path, channel = _split(source)
    volume = load_volume(path, channel=channel, need_channel=False)
    if "C" not in volume.axes:
        return volume
    index = match_channel(structure, volume.channel_names)
    if index is None:
        names = ", ".join(volume.channel_names) or f"0 to {volume.sizes['C'] - 1}"
        raise InputError(
            f"truth {path} has several channels; write "
            f"--truth {structure}={path}:CHANNEL with one of: {names}"
        )
    return volume.channel(index)


def _split(source: str) -> tuple[str, str | int | None]:
    """Part file and channel; a drive letter is no file, and a whole name has none."""
    path, colon, channel = source.rpartition(":")
    if not colon or len(path) < 2 or Path(source).exists():
        return source, None
    return path, int(channel) if channel.isdecimal() else channel
