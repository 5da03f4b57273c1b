"""``sparsessp benchmark speed --field``: one field of view, ours and the others."""

import json as json_module
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.report_file import check_report_path, write_report
from napari_sparsessp.errors import InputError


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
        Of `napari_sparsessp.evaluation.field_speed.FieldOptions`.

    Raises
    ------
    InputError
        There is nothing to resume, or it is of other options.
    OutputError
        The file exists, or cannot be written.
    """
    from napari_sparsessp.evaluation.field_rows import field_rows
    from napari_sparsessp.evaluation.field_speed import FieldOptions, measure_field
    from napari_sparsessp.evaluation.field_table import field_text
    from napari_sparsessp.evaluation.speed import SpeedProgress

    earlier = _earlier(json) if resume else None
    check_report_path(json, overwrite or resume)

    def tell(now: SpeedProgress) -> None:
        console.progress(
            f"[{now.row}/{now.rows}] {now.name}, {clock(now.seconds)}; "
            f"about {clock(now.left)} left"
        )

    result: dict[str, Any] = {}
    options = FieldOptions(**values)
    try:
        with closing(measure_field(field_rows(), options, tell, earlier)) as results:
            for result in results:
                if json is not None:
                    write_report(json, json_module.dumps(result, indent=2))
    finally:
        if result:
            console.result(field_text(result))
            if not result["finished"]:
                console.warning("stopped early; --resume goes on")


def _earlier(json: Path | None) -> dict[str, Any] | None:
    """What an unfinished run has written; None where it had not begun."""
    if json is None:
        raise InputError("--resume needs the file to go on with; name it with --json")
    if not json.exists():
        return None
    try:
        found = json_module.loads(json.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("kind") != "field":
        raise InputError(f"{json} is not of this benchmark; name another file")
    return found
