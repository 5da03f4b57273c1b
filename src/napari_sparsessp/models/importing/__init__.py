"""Importers of published checkpoints: RepMode, SparseSSP and pytorch_fnet.

Opening (`checkpoint`) → checking (`state`) → recognising (`recognise`, with one reader
a format) → asking what the file does not say (`answers`) → writing a native model
(`conversion`). Nothing here loads torch before a file is opened.
"""

from napari_sparsessp.models.importing.answers import Answers, answers_for
from napari_sparsessp.models.importing.conversion import import_checkpoint
from napari_sparsessp.models.importing.found import Found, Question
from napari_sparsessp.models.importing.recognise import inspect_checkpoint

__all__ = [
    "Answers",
    "Found",
    "Question",
    "answers_for",
    "import_checkpoint",
    "inspect_checkpoint",
]
