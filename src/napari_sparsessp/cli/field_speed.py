"""``sparsessp benchmark speed --field``: one field of view, ours and the others."""

import json as json_module
from pathlib import Path
from typing import Any

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.report_file import earlier_results
from napari_sparsessp.cli.row_by_row import follow_rows, row_teller


def measure_field_of_view(
    console: Console,
    json: Path | None,
    overwrite: bool,
    resume: bool,
    values: dict[str, Any],
) -> None:
    """Measure, write JSON row by row, and print the tables.

    Parameters
    ----------
    console : Console
    json : Path, optional
    overwrite, resume : bool
        What may be done with a file that exists.
    values : dict
        Of `napari_sparsessp.evaluation.speed.FieldOptions`.

    Raises
    ------
    InputError
        There is nothing to resume, or it is of other options.
    OutputError
        The file exists, or cannot be written.
    """
    from napari_sparsessp.evaluation.speed import (
        FieldOptions,
        field_rows,
        measure_field,
    )
    from napari_sparsessp.evaluation.speed_tables import field_text

    earlier = earlier_results(
        json, overwrite, resume, _parse, "is not of this benchmark"
    )
    options = FieldOptions(**values)
    follow_rows(
        console,
        measure_field(field_rows(), options, row_teller(console), earlier),
        json,
        field_text,
        lambda done: "--resume goes on",
    )


def _parse(text: str) -> dict[str, Any]:
    found = json_module.loads(text)
    if not isinstance(found, dict) or found.get("kind") != "field":
        raise ValueError("results of another kind")
    return found
