"""Which part of which file a layer shows, so that the command line can open it too."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_sparsessp.ui.layers.marks import KEY

FILE = "file"
"""Of ``layer.metadata["sparsessp"]``: the `FilePlace` of a layer."""


@dataclass(frozen=True)
class FilePlace:
    """Where a layer's voxels are on disk.

    Attributes
    ----------
    path : str
    scene : int, optional
        Number of the image, where the file has several.
    channel : int, optional
        The one that the layer shows; None where it shows all there are.
    """

    path: str
    scene: int | None = None
    channel: int | None = None

    def metadata(self) -> dict[str, Any]:
        """Give a layer's metadata that say this."""
        return {KEY: {FILE: asdict(self)}}


def file_of(layer: Any) -> FilePlace | None:
    """Give the file that a layer came from; None where it came from none."""
    about = layer.metadata.get(KEY)
    known = about.get(FILE) if isinstance(about, dict) else None
    if isinstance(known, dict):
        return FilePlace(
            str(known.get("path")), known.get("scene"), known.get("channel")
        )
    path = getattr(getattr(layer, "source", None), "path", None)
    return FilePlace(str(path)) if path else None


def is_same_file(one: str, other: str) -> bool:
    """Tell whether two paths lead to one file, which need not be there any more."""
    try:
        return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return one == other
