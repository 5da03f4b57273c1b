"""Where the time of our network goes: each convolution, and all the rest together."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from napari_sparsessp.evaluation.field_worker import autocast, timed

PASSES = 5
"""Each layer's time is its best of so many."""


def layer_times(job: dict[str, Any]) -> dict[str, Any]:
    """Time the layers of a model's network on the tile that the engine gives it.

    Parameters
    ----------
    job : dict
        ``model``, ``shape`` of the field, ``device``, ``precision``, ``threads``.

    Returns
    -------
    dict
        ``tile`` (D, H, W), ``precision``, ``seconds`` of the whole network, and
        ``layers``: for each convolution its name, kernel, channels, GMAC, MB that it
        reads and writes at least, and seconds.
    """
    import torch

    from napari_sparsessp import load_model
    from napari_sparsessp.prediction.device import choose_device, choose_precision

    torch.set_num_threads(job["threads"])
    model = load_model(job["model"])
    device = choose_device(job["device"])
    precision = choose_precision(job["precision"], device)
    network: Any = model.network.to(device)
    config = network.config
    tile = (config.planes, *_padded(job["shape"][1:], config.stride))
    x = torch.randn(1, config.inputs, *tile, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    size = 4 if precision == "fp32" else 2
    with torch.inference_mode(), autocast(precision, device):
        seconds = min(timed(lambda: network(x), device) for _ in range(PASSES + 1))
        layers = _layers(network, x, device, size)
    return {
        "tile": list(tile),
        "precision": precision,
        "seconds": seconds,
        "layers": layers,
    }


def _layers(network: Any, x: Any, device: Any, size: int) -> list[dict[str, Any]]:
    """Run the network with every convolution timed."""
    from napari_sparsessp.networks.layers import Convolution

    found: dict[str, dict[str, Any]] = {}
    wrapped = []
    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            found[name] = {"name": name, "seconds": math.inf}
            run = module.forward
            module.forward = partial(  # type: ignore[method-assign]
                _measured, found[name], module, run, device, size
            )
            wrapped.append(module)
    try:
        for _ in range(PASSES + 1):
            network(x)
    finally:
        for module in wrapped:
            del module.forward  # the class's own again
    return [one for one in found.values() if "gmac" in one]


def _measured(
    entry: dict[str, Any],
    module: Any,
    run: Callable[..., Any],
    device: Any,
    size: int,
    x: Any,
    *more: Any,
) -> Any:
    """Run one convolution and write down what it cost."""
    kept = []
    seconds = timed(lambda: kept.append(run(x, *more)), device)
    weight, y = module.weight, kept[0]
    steps = module.stride if isinstance(module.stride, tuple) else [module.stride] * 3
    places = [-(-n // step) for n, step in zip(x.shape[2:], steps, strict=False)]
    entry |= {
        "kernel": list(weight.shape[2:]),
        "channels": [weight.shape[1], weight.shape[0]],
        "gmac": len(x) * math.prod(places) * weight.numel() / 1e9,
        "mbytes": size * (x.numel() + y.numel() + weight.numel()) / 1e6,
        "seconds": min(entry["seconds"], seconds),
    }
    return y


def _padded(size: list[int], stride: int) -> tuple[int, int]:
    height, width = (-(-length // stride) * stride for length in size)
    return height, width
