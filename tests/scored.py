"""Comparisons of made-up predictions with made-up truths."""

import numpy as np

from napari_sparsessp import __version__
from napari_sparsessp.evaluation.agreement import (
    ComparisonReport,
    ScoredStructure,
    agreement,
)
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.volume import Volume

SIZE = (0.29, 0.29, 0.29)
ODD = '<b>"odd"</b>'


def scored(name="dna", noise=0.4, depth=4):
    """A structure whose prediction is its truth and some noise."""
    rng = np.random.default_rng(1)
    counts = rng.gamma(2.0, 30.0, (depth, 16, 20)).astype(np.float32)
    values = zscore_truth(counts) + noise * rng.standard_normal(counts.shape)
    truth = Volume(counts, "ZYX", SIZE)
    prediction = Volume(values.astype(np.float32), "ZYX", SIZE)
    result = agreement(truth, prediction)
    return ScoredStructure(name, prediction, truth, f"{name}, truth", result)


def comparison():
    """Two structures, the name of one full of markup, with input and provenance."""
    light = np.random.default_rng(2).random((2, 16, 20))
    about = {
        "schema": 1,
        "package": __version__,
        "model": {"id": "thin", "sha256": "0" * 64},
        "input": "stack.ome.tif",
        "warnings": ["one thing to know"],
    }
    return ComparisonReport(
        (scored(), scored(ODD, 3.0)),
        "stack",
        "thin",
        Volume(light, "ZYX", (0.58, 0.29, 0.29)),
        about,
        (0, 2),
    )
