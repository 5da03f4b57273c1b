"""Export a model as a bioimage.io package: specification 0.5, TorchScript weights.

Any program that knows the specification can run it: the network is traced with all
that is around it (`napari_sparsessp.networks.standalone`), so that its only input is
the stack of measured planes, one channel. Blended windows, resampling and test-time
augmentation are ours and not in it; its ``README.md`` says so.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import ModelError, OutputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.models.bioimageio_rdf import (
    EPSILON,
    SCALINGS,
    Interface,
    describe,
    readme,
    spdx,
)
from napari_sparsessp.models.card import ModelCard, expected_quality
from napari_sparsessp.models.library import (
    CARD_NAME,
    card_of,
    find_model,
    load_model,
    shipped_folder,
)
from napari_sparsessp.structures import colours_of
from napari_sparsessp.tasks import Progress, no_progress, part_of

if TYPE_CHECKING:
    import torch

    from napari_sparsessp.volume import Volume

LARGEST = 2 * 2**30
"""Bytes of a network."""

TOLERANCE = 1e-5
"""Share of the largest value by which TorchScript may differ from our network."""

COVER = 480
"""Pixels along a side of each of the cover's two pictures."""

_CHUNK = 16 * 2**20


def export_bioimageio(
    id_or_path: str | Path,
    out: str | Path,
    sample: Volume,
    *,
    ratio: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Write a model as a bioimage.io package, a ``.zip``.

    Parameters
    ----------
    sample
        Dense bright-field stack (ZYX) in which the test input is cut.
    ratio
        Sparsity ratio of the input's planes; the model's smallest where left out.

    Raises
    ------
    InputError
        The model is not made for this ratio.
    ModelError
        Its input cannot be described, or its network not be written as TorchScript.
    OutputError
        The file is there, or cannot be written.
    """
    path, out = find_model(id_or_path), Path(out).expanduser()
    card = card_of(path)
    _check_place(out, overwrite=overwrite)
    progress(0.0, what="loading the model")
    model = load_model(path)
    network: Any = model.network
    _check_network(card, network)
    sizes = Interface.of(card, network.config, ratio)
    source = _test_input(sample, sizes)
    progress(0.1, what="tracing the network")
    network, weights = _traced(network, card, sizes)
    progress(0.4, what="predicting the test stack")
    prediction = _predict(network, weights, _scaled(source, card), card)
    made = {
        "shipped": path.parent == shipped_folder(),
        "sha256": model.sha256,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    config: Any = model.network.config
    files = {
        "weights.pt": weights,
        "test_input.npy": _npy(source),
        "test_output.npy": _npy(prediction),
        "README.md": readme(card, config, sizes, source, made).encode(),
        CARD_NAME: card.to_json().encode(),
    }
    if spdx(card.licence) is None:
        files["LICENSE.txt"] = f"{card.licence}\n".encode()
    if _shows(sample, card):
        files["cover.jpg"] = _cover(card, source, prediction, sizes.ratio)
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    described = describe(card, config, sizes, digests, made).encode()
    _write(out, {"rdf.yaml": described, **files}, part_of(progress, 0.7, 1.0))
    return out


def _check_place(out: Path, *, overwrite: bool) -> None:
    if out.suffix.lower() != ".zip":
        raise OutputError(f"{out} is no package; name a file that ends in .zip")
    if out.exists() and (out.is_dir() or not overwrite):
        raise OutputError(f"{out} exists already; give another name or --overwrite")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it first")


# The network ------------------------------------------------------------------------


def _check_network(card: ModelCard, network: Any) -> None:
    """Refuse what a package cannot hold."""
    from napari_sparsessp.networks.conditioning import ExpertConvolution

    config, reason = network.config, ""
    numbers = sum(one.numel() for one in network.parameters())
    if config.conditioning == "repmode":
        # Its kernels are merged, anew for each structure.
        numbers = config.outputs * sum(
            part.get_parameter(f"expert_{part.kernel}").numel()
            for part in network.modules()
            if isinstance(part, ExpertConvolution)
        )
    if config.inputs > 2:
        reason = f"takes {config.inputs} channels, and a package takes one"
    elif card.scaling not in SCALINGS:
        reason = f"scales its input in a way ({card.scaling}) that bioimage.io has not"
    elif 4 * numbers > LARGEST:
        reason = (
            f"would be {4e-9 * numbers:.1f} GB with the kernels of each structure, and "
            f"{LARGEST * 1e-9:.1f} GB are the most"
        )
    if reason:
        raise ModelError(f"model {card.id} {reason}; export it without --format")


def _traced(
    network: Any, card: ModelCard, sizes: Interface
) -> tuple[torch.nn.Module, bytes]:
    """Return the network with all around it, and the same as TorchScript."""
    import torch

    from napari_sparsessp.networks.standalone import Standalone

    alone = Standalone(network, sizes.ratio, card.z_projection).eval()
    buffer = io.BytesIO()
    try:
        # With gradients, though no weight has any: shortcuts for predictions would
        # fix sizes in the trace.
        with warnings.catch_warnings(), torch.enable_grad():
            # It is deprecated, and it is what other programs run.
            warnings.simplefilter("ignore")
            example = torch.zeros(1, 1, *sizes.traced)
            torch.jit.save(torch.jit.trace(alone, example, check_trace=False), buffer)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise _untraceable(card, error) from error
    return alone, buffer.getvalue()


def _predict(
    network: torch.nn.Module, weights: bytes, source: np.ndarray, card: ModelCard
) -> np.ndarray:
    """Predict (1, S, D, H, W), and compare TorchScript's prediction with it."""
    import torch

    x = torch.from_numpy(source)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        wanted = network(x)
        try:
            got = torch.jit.load(io.BytesIO(weights))(x)
        except RuntimeError as error:
            raise _untraceable(card, error) from error
    same = got.shape == wanted.shape
    if not same or (got - wanted).abs().max() > TOLERANCE * wanted.abs().max():
        raise _untraceable(card, "another size gives another result")
    return wanted.numpy()


def _untraceable(card: ModelCard, error: object) -> ModelError:
    reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
    return ModelError(
        f"the network of model {card.id} cannot be written as TorchScript "
        f"({reason[:120]}); export it without --format"
    )


# Test tensors and cover -------------------------------------------------------------


def _test_input(sample: Volume, sizes: Interface) -> np.ndarray:
    """(1, 1, n, H, W) of the sample's middle; mirrored where it is too small."""
    planes = np.asarray(sample.numpy(), np.float32)[:: sizes.ratio]
    for axis, wanted in enumerate(sizes.least):
        length = planes.shape[axis]
        start = max(0, (length - wanted) // 2)
        planes = planes.take(range(start, min(start + wanted, length)), axis)
    lacking = np.subtract(sizes.least, planes.shape)
    planes = np.pad(planes, [(0, more) for more in lacking], mode="symmetric")
    return np.ascontiguousarray(planes)[None, None]


def _scaled(source: np.ndarray, card: ModelCard) -> np.ndarray:
    """Scale a test input as ``rdf.yaml`` says."""
    if card.scaling == "none":
        return source
    exact = source.astype(np.float64)
    return ((exact - exact.mean()) / (exact.std() + EPSILON)).astype(np.float32)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _shows(sample: Volume, card: ModelCard) -> bool:
    """Whether a sample is what a model is made for, so that a picture is no lie."""
    sizes = sample.voxel_size or (0.0, 0.0, 0.0)
    same = np.allclose(sizes, card.voxel_size, rtol=0.1)
    return same and card.modality == "bright-field"


def _cover(
    card: ModelCard, source: np.ndarray, prediction: np.ndarray, ratio: int
) -> bytes:
    """Paint the middle plane of the test stack beside its best structures: a JPEG."""
    from PIL import Image

    planes, stacks = source[0, 0], prediction[0]
    middle = len(planes) // 2
    light = np.repeat(_stretched(planes[middle], 1)[..., None], 3, axis=2)
    colours = colours_of(card.structures)
    stain = np.zeros_like(light)
    for index in _best(card, ratio):
        stack = stacks[index]
        plane = stack[min(middle * ratio, len(stack) - 1)]
        rgb = [int(colours[index][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        stain += _stretched(plane, 40)[..., None] * np.array(rgb)
    both = Image.new("RGB", (2 * COVER, COVER))
    for left, image in ((0, light), (COVER, stain.clip(0, 1))):
        half = Image.fromarray(np.round(image * 255).astype(np.uint8))
        both.paste(half.resize((COVER, COVER), Image.Resampling.BICUBIC), (left, 0))
    buffer = io.BytesIO()
    both.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _stretched(plane: np.ndarray, darkest: float) -> np.ndarray:
    """Stretch percentiles to 0 … 1; those below `darkest` are black."""
    low, high = np.percentile(plane, (darkest, 99.8))
    return ((plane - low) / max(high - low, 1e-9)).clip(0, 1)


def _best(card: ModelCard, ratio: int) -> list[int]:
    """Return up to three outputs that score best; more would be a grey picture."""
    quality = expected_quality(card)

    def score(index: int) -> float:
        r2 = quality.at(card.structures[index], ratio) if quality else None
        return -1.0 if r2 is None else r2

    return sorted(range(len(card.structures)), key=score, reverse=True)[:3]


# The file ---------------------------------------------------------------------------


def _write(out: Path, files: Mapping[str, bytes], progress: Progress) -> None:
    """Write the package in one step; what is packed already is stored."""
    total = sum(map(len, files.values()))
    done = 0
    with atomic_write(out, "package") as part, zipfile.ZipFile(part, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, datetime.now().timetuple()[:6])
            packed = name.endswith((".pt", ".jpg"))
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as file:
                for start in range(0, len(content), _CHUNK):
                    file.write(content[start : start + _CHUNK])
                    done += len(content[start : start + _CHUNK])
                    progress(done, total, "writing the package")
