"""``sparsessp evaluate``: R² and the rest between two images."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from napari_sparsessp import __version__
from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.cli.report_file import check_report_path, write_report
from napari_sparsessp.cli.request_file import name_or_index
from napari_sparsessp.cli.table import score_table
from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import match_channel
from napari_sparsessp.volume import READ_ERRORS, Volume


def evaluate(
    context: typer.Context,
    prediction: Annotated[str, Argument(help="The predicted image.")],
    truth: Annotated[str, Argument(help="The image to compare it with.")],
    channel: Annotated[
        str | None, Option(help="Channel of the prediction; by default all.")
    ] = None,
    truth_channel: Annotated[
        str | None, Option(help="Channel of the truth; by default by name.")
    ] = None,
    report: Annotated[Path | None, Option(help="Write the scores as JSON.")] = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an existing report.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Score a prediction against its truth, structure by structure."""
    from napari_sparsessp.evaluation.agreement import (
        on_the_same_grid,
        score_times,
        unit_doubt,
    )

    console = console_of(context)
    check_report_path(report, overwrite)
    warnings: list[str] = []

    def warn(text: str) -> None:
        if text not in warnings:
            warnings.append(text)
            console.warning(text)

    predicted = _open(prediction, channel)
    expected = _open(truth, truth_channel)
    scores = {}
    for name, mine, other in _pairs(predicted, expected):
        console.progress(f"scoring {name}")
        with _reading(prediction, truth):
            scores[name] = score_times(mine, on_the_same_grid(other, mine, warn))
        if doubt := unit_doubt(name, scores[name]):
            warn(doubt)
    _tell(console, scores)
    if report is not None:
        write_report(report, _report(prediction, truth, scores, warnings))


@contextmanager
def _reading(prediction: str, truth: str) -> Iterator[None]:
    """Voxels are read while they are scored; what fails then is the file's fault."""
    try:
        yield
    except READ_ERRORS as error:
        raise InputError(
            f"cannot read the voxels of {prediction} or {truth} ({error}); one of "
            "them may be damaged"
        ) from error


def _open(path: str, channel: str | None) -> Volume:
    from napari_sparsessp.io.reading import load_volume

    return load_volume(path, channel=name_or_index(channel), need_channel=False)


def _pairs(predicted: Volume, expected: Volume) -> list[tuple[str, Volume, Volume]]:
    """Give (name, prediction, truth) of each structure that both have."""
    count = predicted.sizes.get("C", 1)
    names = predicted.channel_names or tuple(f"channel {i}" for i in range(count))
    if count == 1 and "C" not in expected.axes:
        return [(names[0], _one(predicted, 0), expected)]
    if not expected.channel_names:
        raise InputError(
            "the truth's channels have no names; choose one with --truth-channel "
            "and the prediction's with --channel"
        )
    pairs = []
    for index, name in enumerate(names):
        match = match_channel(name, expected.channel_names)
        if match is not None:
            pairs.append((name, _one(predicted, index), _one(expected, match)))
    if not pairs:
        raise InputError(
            f"no channel of the truth ({', '.join(expected.channel_names)}) is one of "
            f"the prediction's ({', '.join(names)}); choose with --channel and "
            "--truth-channel"
        )
    return pairs


def _one(volume: Volume, channel: int) -> Volume:
    return volume.channel(channel) if "C" in volume.axes else volume


def _tell(console: Console, scores: dict[str, dict[str, Any]]) -> None:
    console.result(score_table(scores))


def _report(
    prediction: str, truth: str, scores: dict[str, dict[str, Any]], warnings: list[str]
) -> str:
    content = {
        "schema": 1,
        "package": __version__,
        "prediction": prediction,
        "truth": truth,
        "structures": scores,
        "warnings": warnings,
    }
    return json.dumps(content, indent=2, allow_nan=False)
