"""Verify that a model file is unchanged and computes what its card says.

The card has a digest of all weights, which finds any changed bit, and the network's
output for a test input, which also finds a program that computes something else.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.bundle_file import bundle_folder
from napari_sparsessp.models.card import Check
from napari_sparsessp.models.library import (
    Model,
    card_of,
    find_model,
    load_model,
    shipped_folder,
    weights_file,
    weights_files,
)
from napari_sparsessp.models.weights import digest_of_file, file_sha256, read_header

if TYPE_CHECKING:
    import torch

SHIPPED_CHECKS = "checks.json"
"""SHA-256 of each shipped file by its name, beside them; ``tools/make_checks.py``
writes it."""

RELATIVE_TOLERANCE = 1e-3
"""Of the largest test value. Another number of threads makes 1e-6, another kind of
processor up to 1e-4; a wrong weight or layer makes far more."""

VALUES = 16
"""Test values in a card."""


@dataclass(frozen=True)
class Verdict:
    """Result of a verification; the text names what was compared, or what is wrong."""

    ok: bool
    text: str


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the test input: uniform noise with mean 0 and standard deviation 1.

    float32, taken from PCG64's raw numbers, which numpy promises never to change.
    """
    raw = np.random.PCG64(seed).random_raw(math.prod(shape))
    unit = (raw >> np.uint64(11)) * 2.0**-53
    return ((unit - 0.5) * math.sqrt(12)).astype(np.float32).reshape(shape)


def make_check(network: torch.nn.Module, tensors: str, seed: int = 0) -> Check:
    """Run the test input through a network and return the check for its card."""
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

    Of a bundle, all members.
    """
    path = find_model(id_or_path)
    try:
        return _compare(path) if bundle_folder(path) is None else _compare_all(path)
    except ModelError as error:
        return Verdict(False, str(error))


def _compare_all(folder: Path) -> Verdict:
    """Verify each member of a bundle; the first that fails is named."""
    card_of(folder)
    files = weights_files(folder)
    verdicts = [(file, _compare(file)) for file in files]
    for file, verdict in verdicts:
        if not verdict.ok:
            return Verdict(False, f"{file.name}: {verdict.text}")
    texts = dict.fromkeys(verdict.text for _, verdict in verdicts)
    return Verdict(True, f"{len(files)} members, each: {', or '.join(texts)}")


def _compare(path: Path) -> Verdict:
    check, weights = card_of(path).check, weights_file(path)
    compared = []
    if weights.parent == shipped_folder():
        try:
            table = (shipped_folder() / SHIPPED_CHECKS).read_text(encoding="utf-8")
            expected = json.loads(table)[weights.name]
        except (OSError, KeyError, TypeError, ValueError):
            expected = None
        if file_sha256(weights) != expected:
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


def _deviation(model: Model, check: Check) -> float | None:
    """Return the largest deviation from the test values; None if they do not fit."""
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
    network: torch.nn.Module,
    seed: int,
    shape: tuple[int, ...],
    outputs: tuple[int, ...],
) -> np.ndarray:
    import torch

    source = torch.from_numpy(noise(seed, shape))[None]
    with torch.inference_mode():
        return network(source, list(outputs))[0].float().numpy()
