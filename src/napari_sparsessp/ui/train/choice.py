"""What the user chose in the Train dock; plain values without widgets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_sparsessp.training.resolve import MINUTES, LossName
from napari_sparsessp.ui.train.layers import PartKey

AUTO = "auto"

Part = Literal["auto", "stack", "y", "x"]


@dataclass(frozen=True)
class StackPick:
    """One stack of the viewer.

    Attributes
    ----------
    light : PartKey or None
    truths : tuple of (PartKey, str)
        Stacks to learn from, each with the structure as it was typed.
    mask : PartKey or None
    """

    light: PartKey | None
    truths: tuple[tuple[PartKey, str], ...] = ()
    mask: PartKey | None = None


@dataclass(frozen=True)
class FilesPick:
    """Stacks in files.

    Attributes
    ----------
    path : Path or None
        A CSV, or a folder.
    images : tuple of Path
        Picked one by one, in place of a path.
    signal, target : str
        Channels, where no list says them.
    structure : str
    """

    path: Path | None = None
    images: tuple[Path, ...] = ()
    signal: str = ""
    target: str = ""
    structure: str = ""

    @property
    def is_list(self) -> bool:
        """Whether a CSV says everything."""
        return self.path is not None and not self.path.is_dir()

    @property
    def empty(self) -> bool:
        """Whether nothing was chosen."""
        return self.path is None and not self.images


@dataclass(frozen=True)
class TrainChoice:
    """All that the form says.

    Attributes
    ----------
    from_files : bool
    stacks : tuple of StackPick
    files : FilesPick
    part : {"auto", "stack", "y", "x"}
        What is kept back.
    share : float
        Of it.
    model : str
        Id of the model to begin with; "" where there is none.
    freeze : bool
    minutes : float
    device : str
    name, id, licence : str
    ratios : tuple of int or None
    patch : int or None
    learning_rate : float or None
    loss : str
    """

    from_files: bool
    stacks: tuple[StackPick, ...]
    files: FilesPick
    part: Part
    share: float
    model: str
    freeze: bool = False
    minutes: float = MINUTES
    device: str = AUTO
    name: str = ""
    id: str = ""
    licence: str = ""
    ratios: tuple[int, ...] | None = None
    patch: int | None = None
    learning_rate: float | None = None
    loss: LossName = "mse"
