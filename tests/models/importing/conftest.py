"""Importers meet the real networks."""

import pytest


@pytest.fixture
def imported(tmp_path):
    """`imported(path, **answers)`: the loaded model of an imported checkpoint."""
    from napari_sparsessp.models.importing import (
        answers_for,
        import_checkpoint,
        inspect_checkpoint,
    )
    from napari_sparsessp.models.library import load_model

    def run(path, **given):
        found = inspect_checkpoint(path)
        if found.structures is None:
            given.setdefault("structures", [f"s{i}" for i in range(found.outputs)])
        given.setdefault("id", "imported-one")
        target = tmp_path / "models"
        return load_model(import_checkpoint(path, answers_for(found, **given), target))

    return run
