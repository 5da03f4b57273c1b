"""Whether a model file is what it was when its card was written.

The card has a digest of all weights, which finds any changed bit, and what the network
gave for a test input, which also finds a program that computes something else.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import Check, ModelCard
from napari_sparsessp.models.header import read_header
from napari_sparsessp.models.registry import card_of, shipped_folder, weights_file
from napari_sparsessp.models.serialisation import digest_of_file
from napari_sparsessp.models.store import Model, file_sha256, load_model

if TYPE_CHECKING:
    import torch

SHIPPED_CHECKS = "checks.json"
"""Beside the shipped models: ``{file name: {"sha256": …, "check": …}}``, made by
``tools/make_checks.py``. A shipped card was written before cards had checks."""

RELATIVE_TOLERANCE = 1e-3
"""Of the largest test value. Another number of threads makes 1e-6, another kind of
processor up to 1e-4; a wrong weight or layer makes far more."""

VALUES = 16
"""Voxels of the prediction that the card remembers."""


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes
    ----------
    ok : bool
    text : str
        What was compared, or what is wrong and what to do.
    """

    ok: bool
    text: str


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Make the test input: uniform noise with mean 0 and standard deviation 1.

    Parameters
    ----------
    seed : int
    shape : tuple of int

    Returns
    -------
    ndarray
        float32. Taken from PCG64's raw numbers, which numpy promises never to change.
    """
    raw = np.random.PCG64(seed).random_raw(math.prod(shape))
    unit = (raw >> np.uint64(11)) * 2.0**-53
    return ((unit - 0.5) * math.sqrt(12)).astype(np.float32).reshape(shape)


def make_check(network: "torch.nn.Module", tensors: str, seed: int = 0) -> Check:
    """Run the test input through a network and remember what came out.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU, in float32.
    tensors : str
        Digest of its weights as they are in the file
        (`napari_sparsessp.models.serialisation.digest_of_tensors`).
    seed : int

    Raises
    ------
    ModelError
        What comes out is not finite.
    """
    config: Any = network.config
    planes = getattr(config, "planes", config.depth)
    # Twice as wide as high, so that swapped axes do not pass.
    shape = (config.inputs, planes, config.stride, 2 * config.stride)
    # One output: a RepMode network makes 600 MB of weights for each.
    outputs = (config.outputs - 1,)
    prediction = _run(network, seed, shape, outputs)
    if not np.isfinite(prediction).all():
        raise ModelError(
            "the network gives NaN or infinite values for a test input, so its weights "
            "are of no use; get the file again"
        )
    # A prime stride visits all rows, columns and planes.
    count = min(VALUES, prediction.size)
    positions = [(index * 7919) % prediction.size for index in range(1, count + 1)]
    values = [float(prediction.flat[position]) for position in positions]
    tolerance = RELATIVE_TOLERANCE * float(np.abs(prediction).max())
    return Check(
        seed=seed,
        shape=shape,
        outputs=outputs,
        positions=tuple(positions),
        values=tuple(values),
        tolerance=max(tolerance, 1e-12),
        tensors=tensors,
    )


def verify_model(id_or_path: str | Path) -> Verdict:
    """Compare a model file with its card, and the network with its test values.

    Parameters
    ----------
    id_or_path : str or Path
        An id, a ``.safetensors`` file or a model's folder.

    Raises
    ------
    ModelError
        There is no such model. One that is damaged is a verdict, not an error.
    """
    from napari_sparsessp.models.registry import find_model

    path = find_model(id_or_path)
    try:
        return _compare(path)
    except ModelError as error:
        return Verdict(False, str(error))


def _compare(path: Path) -> Verdict:
    card = card_of(path)
    weights = weights_file(path)
    compared = []
    sha256, check = _expectation(weights, card)
    if sha256 is not None:
        if file_sha256(weights) != sha256:
            return Verdict(False, "the file is not the shipped one; reinstall")
        compared.append("file")
    if check is not None:
        if digest_of_file(weights, read_header(weights)) != check.tensors:
            return Verdict(
                False, "its weights are not those of its card; get the file again"
            )
        compared.append("weights")
    model = load_model(path)  # also: shapes fit the card, all weights are finite
    if check is None:
        return Verdict(True, "weights are whole; its card has nothing to compare with")
    deviation = _deviation(model, check)
    if deviation is None or deviation > check.tolerance:
        return Verdict(
            False,
            "the network does not give what its card says for the test input "
            f"(deviation {deviation if deviation is not None else 'in shape'}, "
            f"allowed {check.tolerance:.2g}); update napari-sparsessp and torch",
        )
    return Verdict(True, f"{', '.join(compared)} and test values agree")


def _expectation(weights: Path, card: ModelCard) -> tuple[str | None, Check | None]:
    """SHA-256 of the file and the check, as far as they are known."""
    if weights.parent != shipped_folder():
        return None, card.check
    table = shipped_folder() / SHIPPED_CHECKS
    try:
        entry = json.loads(table.read_text(encoding="utf-8"))[weights.name]
        return entry["sha256"], Check.model_validate(entry["check"])
    except (OSError, KeyError, TypeError, ValueError, ValidationError):
        return None, card.check


def _deviation(model: Model, check: Check) -> float | None:
    """Largest deviation from the test values; None if they do not lie in the output."""
    config: Any = model.network.config
    fits = check.shape[0] == config.inputs and max(check.outputs) < config.outputs
    if not fits or any(extent % config.stride for extent in check.shape[2:]):
        return None
    try:
        prediction = _run(model.network, check.seed, check.shape, check.outputs)
    except (RuntimeError, ValueError, IndexError):
        return None
    if max(check.positions) >= prediction.size:
        return None
    got = prediction.reshape(-1)[list(check.positions)]
    deviation = float(np.abs(got - np.asarray(check.values)).max())
    return deviation if math.isfinite(deviation) else None


def _run(
    network: "torch.nn.Module",
    seed: int,
    shape: tuple[int, ...],
    outputs: tuple[int, ...],
) -> np.ndarray:
    import torch

    source = torch.from_numpy(noise(seed, shape))[None]
    with torch.inference_mode():
        return network(source, list(outputs))[0].float().numpy()
