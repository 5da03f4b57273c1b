"""Import published checkpoints: RepMode, SparseSSP, pytorch_fnet, VisCy and GVTNet.

`checkpoint` opens and checks a file, `formats` recognises it, `answers` completes what
the file does not say, `convert` writes a model. Nothing here loads torch before a file
is opened.
"""

from napari_sparsessp.models.importing.answers import (
    Answers,
    CheckpointInfo,
    Question,
    answers_for,
)
from napari_sparsessp.models.importing.convert import import_checkpoint
from napari_sparsessp.models.importing.formats import inspect_checkpoint

__all__ = [
    "Answers",
    "CheckpointInfo",
    "Question",
    "answers_for",
    "import_checkpoint",
    "inspect_checkpoint",
]
