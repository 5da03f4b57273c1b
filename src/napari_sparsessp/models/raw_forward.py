"""A raw forward pass: planes in, raw output out, to check a network by its numbers.

No normalisation or resampling: what the network gives for exactly these planes, in
float32 on the CPU. Published methods that say how a stack of any size is padded and
cut into windows get it so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.files import user_path
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.structures import structure_id

if TYPE_CHECKING:
    import torch


def raw_forward(
    model: str | Path,
    planes: np.ndarray,
    structures: Sequence[str] | None = None,
    ratio: float | None = None,
) -> np.ndarray:
    """Run planes through a network as they are.

    Parameters
    ----------
    model
        Id, model file or folder, or a published checkpoint.
    planes
        (n, H, W): the measured planes, n = D/r, or all D. Or (C, n, H, W) with all
        input channels of the network, n = D. Networks with a published window take a
        stack of any size, and a 2D one each plane by itself (`run_stack`).
    structures
        Ids, other names of them (``lamin_b1``), or numbers of outputs; all if left out.
    ratio
        Sparsity ratio r; D/n if left out, and 1 for a network of any depth.

    Returns
    -------
    (T, D, H, W) float32; n planes of a stack in windows.
    """
    import torch

    array = _checked(planes)
    names, network, interpolation, plain = _opened(model)
    outputs = find_outputs(names, structures, network.config.outputs)
    windowed = _takes_any_stack(network.config) and not _fits(network.config, array)
    if not windowed:
        source = _source(network.config, array, ratio, interpolation, plain)
    elif ratio not in (None, 1):
        raise InputError("the network is made for dense stacks; leave --ratio out")
    try:
        with torch.inference_mode():
            if windowed:
                return run_stack(network, array, outputs)
            return network(source, outputs)[0].float().numpy()
    except (MemoryError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["out of memory"])[0]
        raise PredictionError(
            f"the network failed on {_shape(array.shape)} ({reason}); give a smaller "
            "array or fewer --structures"
        ) from error


def run_stack(
    network: Any, stack: np.ndarray, outputs: Sequence[int] | None = None
) -> np.ndarray:
    """Run a stack of any size as the network's authors do: (n, H, W) → (T, n, H, W).

    Padded as its configuration says, in windows that move by `window_step` planes,
    whose mean is taken, and cropped.
    """
    import torch

    config = network.config
    padded, crop = _padded(config, stack)
    depth = config.planes if config.window_step else len(padded)
    if depth > len(padded):
        raise InputError(
            f"the stack has {len(padded)} planes and the network looks at {depth} at "
            "once; give at least as many"
        )
    total, times = np.zeros(()), np.zeros((len(padded), 1, 1), np.float32)
    for first in range(0, len(padded) - depth + 1, config.window_step or depth):
        planes = slice(first, first + depth)
        source = torch.from_numpy(padded[planes])[None, None]
        with torch.inference_mode():
            values = network(source, outputs)[0].float().numpy()
        if not total.ndim:
            total = np.zeros((len(values), *padded.shape), np.float32)
        total[:, planes] += values
        times[planes] += 1
    return np.ascontiguousarray((total / times)[:, *crop])


def _padded(config: Any, stack: np.ndarray) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Pad a stack as a network's authors do; also return what is cropped."""
    padding = config.padding
    pads, crop = [], []
    multiples = padding.depth, padding.multiple, padding.multiple
    for length, multiple in zip(stack.shape, multiples, strict=True):
        more = -length % multiple
        before = more // 2 if padding.centred else 0
        pads.append((before, more - before))
        crop.append(slice(before, before + length))
    mode: Any = "constant" if padding.mode == "zeros" else padding.mode
    return np.pad(stack, pads, mode=mode), tuple(crop)


def _takes_any_stack(config: Any) -> bool:
    return config.inputs == 1 and (
        config.window_step is not None or config.padding.centred
    )


def _fits(config: Any, array: np.ndarray) -> bool:
    """Whether an array is one window, which goes through as it is."""
    padding = config.padding
    if array.ndim == 4:
        return True
    planes, height, width = array.shape
    whole = planes == config.planes
    if not config.window_step:
        whole = planes % padding.depth == 0
    return whole and height % config.stride == 0 and width % config.stride == 0


def find_outputs(
    names: Sequence[str] | None, wanted: Sequence[str] | None, outputs: int
) -> list[int]:
    """Return the indices of the wanted outputs."""
    if wanted is None:
        return list(range(outputs))
    known = list(names or ())
    found = []
    for text in wanted:
        name = text.strip()
        if name not in known and not name.isdecimal():
            name = structure_id(name)
        if name in known:
            found.append(known.index(name))
        elif name.isdecimal() and int(name) < outputs:
            found.append(int(name))
        else:
            numbers = "0" if outputs == 1 else f"0 to {outputs - 1}"
            there = f"{', '.join(known)} (or {numbers})" if known else numbers
            raise InputError(f"the network has no output {text!r}; it has {there}")
    return found


def _opened(model: str | Path) -> tuple[tuple[str, ...] | None, Any, str, bool]:
    """Structures, network, interpolation, and whether it knows of no distance."""
    from napari_sparsessp.models.importing.tensorflow import find_index

    path = user_path(model)
    foreign = path.is_file() and path.suffix != ".safetensors"
    if foreign or find_index(path) is not None:
        from napari_sparsessp.models.importing.convert import open_network

        found, network = open_network(path)
        config: Any = network.config
        return found.structures, network, config.interpolation, True
    from napari_sparsessp.models.library import load_model

    loaded = load_model(model)
    card = loaded.card
    return card.structures, loaded.network, card.interpolation, bool(card.source)


def _checked(planes: np.ndarray) -> np.ndarray:
    if planes.ndim not in (3, 4) or 0 in planes.shape:
        raise InputError(
            f"the array has shape {_shape(planes.shape)}; give planes as (n, H, W), or "
            "(channels, n, H, W)"
        )
    if planes.dtype.kind not in "uif":
        raise InputError(
            f"the array holds {planes.dtype}, not numbers; save it as float32"
        )
    return np.ascontiguousarray(planes, dtype=np.float32)


def _source(
    config: Any, array: np.ndarray, ratio: float | None, interpolation: str, plain: bool
) -> "torch.Tensor":
    """Return the input of the network, (1, inputs, n, H, W)."""
    import torch

    _check_area(config, array.shape)
    if array.ndim == 4:
        if len(array) != config.inputs:
            raise InputError(
                f"the array has shape {_shape(array.shape)} and the network takes "
                f"{config.inputs} channels; give ({config.inputs}, n, H, W)"
            )
        _check_depth(config, array.shape[1], None)
        return torch.from_numpy(array)[None]
    if config.inputs > 2 or (config.inputs > 1 and plain):
        raise InputError(
            f"the network takes {config.inputs} channels; give the array as "
            f"({config.inputs}, n, H, W)"
        )
    dense, view = _dense(config, array, ratio, interpolation)
    if config.inputs == 1:
        return torch.from_numpy(dense)[None, None]
    from napari_sparsessp.networks.layers import network_input

    distance = torch.from_numpy(view.distance())
    return network_input(torch.from_numpy(dense), distance)[None]


def _dense(
    config: Any, array: np.ndarray, ratio: float | None, interpolation: str
) -> tuple[np.ndarray, SparseView]:
    """Planes as the network takes them, and where they lie."""
    count = len(array)
    if config.mapping != "prefix":
        _check_depth(config, count, ratio)
        return array, SparseView.from_ratio(count, ratio or config.ratio)
    whole = config.topology != "3d" and config.planes % count == 0
    own = config.planes / count if whole else 1.0
    view = SparseView.from_ratio(count, own if ratio is None else ratio)
    _check_depth(config, view.depth, ratio, count)
    return view.to_dense(array, interpolation), view


def _check_area(config: Any, shape: tuple[int, ...]) -> None:
    height, width = shape[-2:]
    step = config.stride
    if height % step or width % step:
        fitting = [max(step, round(extent / step) * step) for extent in shape[-2:]]
        raise InputError(
            f"the array has shape {_shape(shape)}; height and width must be multiples "
            f"of {step}, for example {fitting[0]} and {fitting[1]}"
        )


def _check_depth(
    config: Any, depth: int, ratio: float | None, count: int | None = None
) -> None:
    """Whether the network takes so many planes."""
    given = f"{depth} planes" if count in (None, depth) else f"{count} planes"
    if config.topology == "3d":
        depths = config.level_depths(config.planes)
        step = config.planes // depths[-1]
        if depth % step:
            raise InputError(
                f"{given} make {depth} dense planes, and the network takes multiples "
                f"of {step}; give {max(step, round(depth / step) * step)}"
            )
    elif depth != config.planes:
        shares = (
            [config.planes // r for r in (1, 2, 4, 8) if config.planes % r == 0]
            if config.mapping == "prefix"
            else [config.planes]
        )
        at = "" if ratio is None else f" at ratio {ratio:g}"
        raise InputError(
            f"{given}{at} do not fit; the network takes "
            f"{' or '.join(map(str, shares))} planes"
            + (f" (D = {config.planes} over r)" if len(shares) > 1 else "")
        )
    if config.mapping != "prefix" and ratio not in (None, config.ratio):
        raise InputError(
            f"the network is made for ratio {config.ratio} alone; leave --ratio out"
        )


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
