"""The one request that the dock, the command line, Python and batches share."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from napari_sparsessp.errors import InputError, invalid_field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class PredictionRequest(BaseModel):
    """Choice of input, model, structures and options.

    Two equal requests on the same input and machine give equal numbers,
    whoever sends them.

    Examples
    --------
    >>> from napari_sparsessp import PredictionRequest
    >>> request = PredictionRequest(structures="dna, tom20", memory_limit="4GB")
    >>> request.structures, request.memory_limit
    (('dna', 'tom20'), 4000000000)

    Attributes
    ----------
    input
        Path of the image or name of the layer; for the record.
    channel, scene
        Name or index of the transmitted-light channel and of the scene.
    axes
        Letters for the file's axes in their stored order, such as ``"ZYX"``, where it
        calls them otherwise.
    time
        Time points as a Python slice, for example ``"0:3"`` or ``"2"``.
    model
        Id of a model, or a path.
    topology
        Take the shipped model of this topology.
    structures
        Ids of the structures to predict.
    ratio
        Sparsity ratio r ≥ 1; from the voxel size where it is left out.
    simulate_sparse
        The stack is dense: use every r-th plane of it and never look at the rest.
    phase
        With `simulate_sparse`: the first plane that is used, from 0 to r − 1.
    voxel_size
        (z, y, x) in µm; overrides what the file says.
    grid
        Give the prediction on the model's grid or on the input's y/x pixels.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    tile
        Largest tile (z, y, x) in voxels of the model's grid.
    overlap
        Share of the z window that neighbouring windows have in common, from 0 to less
        than 1.
    truth
        Structure id to the source of its ground truth; for the record.
    normalisation
        (mean, std) in the input's units: values become (value − mean) / std, at every
        time point. Of each time point's measured planes where it is left out.
    mask_invalid
        Predict although there are NaN or infinite values: they count as background
        and are NaN in the prediction.
    reconstruct
        ``"phase"``: make phase from the bright-field stack first, for models that
        learned from it. Needs the four that follow.
    na, na_condenser
        Numerical apertures of the objective and of the condenser.
    wavelength
        Of the light, in µm.
    index
        Refractive index of the immersion medium.
    planes_downwards
        Plane 0 is the farthest from the objective; with `reconstruct`.
    regularisation
        Strength of Tikhonov's regularisation; more is smoother.
    tta
        Average the prediction over the eight flips and quarter turns in y and x.
    uncertainty
        Give each structure a second channel with the standard deviation that is to
        be expected of its error, ``dna_std`` beside ``dna``.
    memory_limit
        Most bytes of memory that the prediction may take, the program itself with it;
        also as text, ``"4GB"`` or ``"1.5GiB"``. Without it, a part of what is free.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str = ""
    channel: str | int | None = None
    scene: str | int | None = None
    axes: str | None = None
    time: str | None = None
    model: str = "default"
    topology: str | None = None
    structures: tuple[str, ...] | Literal["all"] = "all"
    ratio: float | None = None
    simulate_sparse: bool = False
    phase: Annotated[int, Field(ge=0)] = 0
    voxel_size: tuple[Positive, Positive, Positive] | None = None
    grid: Literal["model", "input"] = "model"
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    tile: tuple[int, int, int] | None = None
    overlap: Annotated[float, Field(ge=0, lt=1)] | None = None
    truth: dict[str, str] = {}
    normalisation: tuple[Finite, Positive] | None = None
    mask_invalid: bool = False
    reconstruct: Literal["phase"] | None = None
    na: Annotated[Positive, Field(lt=2)] | None = None
    na_condenser: Annotated[Positive, Field(lt=2)] | None = None
    wavelength: Annotated[Positive, Field(ge=0.2)] | None = None
    index: Annotated[Positive, Field(ge=1, le=2)] | None = None
    planes_downwards: bool = False
    regularisation: Annotated[Positive, Field(ge=1e-8, le=1e2)] = 1e-2
    tta: bool = False
    uncertainty: bool = False
    memory_limit: Annotated[int, Field(gt=0)] | None = None

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _bytes_as_text(cls, value: Any) -> Any:
        """Take ``4GB``, as people write it."""
        return byte_count(value) if isinstance(value, str) else value

    @field_validator("wavelength")
    @classmethod
    def _in_micrometres(cls, value: float | None) -> float | None:
        """Refuse nanometres, in which people name a wavelength."""
        if value is not None and value > 3:
            raise ValueError(f"it is in µm; {value:g} nm are {value / 1000:g}")
        return value

    @field_validator("structures", mode="before")
    @classmethod
    def _names_in_one_line(cls, value: Any) -> Any:
        """Take ``"dna, tom20"`` as people write it in a request."""
        if not isinstance(value, str) or value.strip() == "all":
            return value.strip() if isinstance(value, str) else value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("time", mode="before")
    @classmethod
    def _time_as_text(cls, value: Any) -> Any:
        """Take ``time: 2``, a number in YAML and JSON."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if whole else value


_UNITS = {"": 1, "B": 1} | {
    f"{letter}{unit}": base ** (power + 1)
    for power, letter in enumerate("KMGT")
    for unit, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def byte_count(text: str) -> int:
    """Read ``512MB``, ``4GB`` or ``1.5GiB``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if not found or found[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size; write for example 512MB or 4GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def changed(
    request: PredictionRequest,
    structures: Sequence[str] | str | None,
    ratio: float | None,
) -> PredictionRequest:
    """Return the request with some fields replaced, checked like any other."""
    changes: dict[str, Any] = {}
    if structures is not None:
        names = [structures] if isinstance(structures, str) else structures
        changes["structures"] = "all" if structures == "all" else tuple(names)
    if ratio is not None:
        changes["ratio"] = ratio
    try:
        return PredictionRequest.model_validate({**request.model_dump(), **changes})
    except ValidationError as error:
        where, why = invalid_field(error)
        raise InputError(f"{where} cannot be used: {why}; correct it") from error
