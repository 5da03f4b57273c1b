"""What was found in a checkpoint, and what it does not say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

QuestionName = Literal["structures", "ratio", "voxel_size", "scaling"]


@dataclass(frozen=True)
class Question:
    """Something that is needed to use the network and is not in the file.

    Attributes
    ----------
    name : {"structures", "ratio", "voxel_size", "scaling"}
    suggestion : object or None
        A tuple of structure ids, a whole number, a (z, y, x) in µm, or the name of a
        scaling; None where nothing suggests itself.
    assumable : bool
        Whether the suggestion may be taken without asking: it is what the published
        method does, or stands in the file's name. A guess is never taken unasked.
    reason : str
        Where the suggestion comes from, in a few words; empty without one.
    """

    name: QuestionName
    suggestion: Any = None
    assumable: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """What a checkpoint says of itself.

    Attributes
    ----------
    path : Path
    format : str
        ``RepMode``, ``SparseSSP``, ``pytorch_fnet`` or ``pytorch_fnet (legacy)``.
    network : dict
        What `napari_sparsessp.networks.NetworkConfig` needs to build the network.
    outputs : int
        Structures T that the network predicts.
    structures : tuple of str or None
        Their ids in the order of the outputs, where the file names them.
    ratio : int or None
        Sparsity ratio, where the file or the published method fixes it.
    parameters : int
        Trainable numbers.
    notes : tuple of str
        What was read off the shapes, in words.
    questions : tuple of Question
        What the file does not answer.
    """

    path: Path
    format: str
    network: dict[str, Any]
    outputs: int
    structures: tuple[str, ...] | None
    ratio: int | None
    parameters: int
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()

    def question(self, name: str) -> Question | None:
        """Give a question by its name; None where the file answers it."""
        return next((one for one in self.questions if one.name == name), None)


@dataclass(frozen=True, eq=False)
class Source:
    """A checkpoint whose every tensor has its place in one of our networks.

    Attributes
    ----------
    found : Found
    state : dict
        Tensors by their published names.
    names : dict
        Published name of each of our tensors.
    """

    found: Found
    state: Mapping[str, "torch.Tensor"] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
