"""From the command line's options, and a saved request, to the one request object."""

from pathlib import Path
from typing import Any

import typer

from napari_sparsessp.cli.options import mean_and_std, numbers
from napari_sparsessp.cli.truth import parse_truth
from napari_sparsessp.errors import InputError
from napari_sparsessp.files import read_yaml
from napari_sparsessp.prediction.request import PredictionRequest


def options_given(context: typer.Context) -> dict[str, Any]:
    """Give the options that the user really wrote, not the defaults."""
    given = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            given[name] = value
    return given


def request_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Turn options, as text, into the request's values; leave other options out.

    Raises
    ------
    InputError
        A truth that is no ``STRUCTURE=FILE``.
    typer.BadParameter
        Sizes that are not three positive numbers.
    """
    fields = {
        name: value
        for name, value in given.items()
        if name in PredictionRequest.model_fields
    }
    for name in ("channel", "scene"):
        if name in fields:
            fields[name] = name_or_index(fields[name])
    if "structures" in fields and fields["structures"] != "all":
        names = fields["structures"].split(",")
        fields["structures"] = tuple(name.strip() for name in names if name.strip())
    if "voxel_size" in fields:
        fields["voxel_size"] = numbers(fields["voxel_size"], "--voxel-size", float)
    if "tile" in fields:
        fields["tile"] = numbers(fields["tile"], "--tile", int)
    if "normalisation" in fields:
        fields["normalisation"] = mean_and_std(fields["normalisation"])
    if "truth" in fields:
        fields["truth"] = parse_truth(fields["truth"])
    return fields


def read_request(path: Path) -> dict[str, Any]:
    """Read a saved request, YAML or JSON, as the fields that it sets.

    Raises
    ------
    InputError
        The file is missing, or is not a request.
    """
    fields = read_yaml(path, "request")
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise InputError(f"request {path} is not a list of `field: value` lines")
    return fields


def make_request(fields: dict[str, Any]) -> PredictionRequest:
    """Check the fields and make the request.

    Raises
    ------
    InputError
        A field is unknown or its value is impossible.
    """
    from pydantic import ValidationError

    try:
        return PredictionRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "request"
        field = " ".join(field.split())[:80] or repr(field)
        if first["type"] == "extra_forbidden":
            known = ", ".join(PredictionRequest.model_fields)
            raise InputError(
                f"a request has no field {field}; it has {known}"
            ) from error
        option = "--" + field.replace("_", "-")
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(
            f"{option} {repr(fields.get(field))[:200]} cannot be used: {reason}"
        ) from error


def name_or_index(text: str | None) -> str | int | None:
    """Take digits for an index and anything else for a name."""
    return int(text) if text is not None and text.isdecimal() else text
