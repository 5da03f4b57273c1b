"""Measure which share of the machine's peak our network reaches, layer by layer.

    python -m benchmarks.speed.peak_share docs/generated/speed_field.json

adds ``peaks`` and ``layers`` to the JSON file of ``sparsessp benchmark speed --field``.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari_sparsessp.evaluation.speed_worker import autocast, best_times, timed

LAYER_HEADINGS = ("part", "GMAC", "ms", "GMAC/s", "of peak", "GB/s", "of copying")

LAYER_PASSES = 5
"""Each layer's time is its best of so many, after a warm-up."""

SIDES, CHANNELS, PLANE, VALUES = (1024, 2048, 4096), 256, 128, 2**26
"""Square matrices, a 3×3 convolution, float32 values that are copied."""

Result = Mapping[str, Any]


def measure_peaks(device: str, scale: int = 1) -> dict[str, float]:
    """Measure what the machine can do at most; sizes are divided by `scale`."""
    import torch
    import torch.nn.functional as F

    def best(run: Callable[[], object]) -> float:
        run()
        return best_times([run], 3, device, most=10_000)[0][0]

    rates: dict[str, float] = {}
    with torch.inference_mode():
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            gemm = 0.0
            for side in (side // scale for side in SIDES):
                a = torch.randn(side, side, device=device).to(dtype)
                gemm = max(gemm, side**3 / 1e9 / best(partial(torch.mm, a, a)))
            side = PLANE // scale
            x = torch.randn(1, CHANNELS, side, side, device=device).to(dtype)
            weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device).to(dtype)
            x, weight = (
                t.contiguous(memory_format=torch.channels_last) for t in (x, weight)
            )
            products = 9 * CHANNELS**2 * side**2 / 1e9
            convolved = products / best(partial(F.conv2d, x, weight, padding=1))
            rates |= {f"gemm_{name}": gemm, f"gmac_{name}": max(gemm, convolved)}
        a = torch.ones(VALUES // scale**2, device=device)
        b, out = torch.ones_like(a), torch.empty_like(a)
        size = a.numel() * a.element_size() / 1e9
        rates["copy_gb"] = 2 * size / best(lambda: out.copy_(a))
        triad = best(partial(torch.add, a, b, alpha=2.0, out=out))
        return rates | {"triad_gb": 3 * size / triad}


def measure_layers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Time each convolution of our network on the tile that the engine gives it."""
    import torch

    from napari_sparsessp import load_model
    from napari_sparsessp.prediction.device import choose_device, choose_precision

    device = choose_device(options["device"])
    precision = choose_precision("auto", device)
    network: Any = load_model(options["model"]).network.to(device)
    config = network.config
    sides = (-(-n // config.stride) * config.stride for n in options["shape"][1:])
    tile = (config.planes, *sides)
    x = torch.randn(1, config.inputs, *tile, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    size, kind = 4 if precision == "fp32" else 2, str(device)
    with torch.inference_mode(), autocast(precision, device.type):
        passes = range(LAYER_PASSES + 1)
        seconds = min(timed(lambda: network(x), kind) for _ in passes)
        costs = convolutions(network, x, kind, size)
    about = {"tile": list(tile), "precision": precision}
    return {**about, "seconds": seconds, "layers": costs}


def convolutions(network: Any, x: Any, device: str, size: int) -> list[dict[str, Any]]:
    """Run the network with every convolution timed."""
    from napari_sparsessp.networks.layers import Convolution

    costs: dict[str, dict[str, Any]] = {}

    def measured(name: str, module: Any, run: Any, x: Any, *more: Any) -> Any:
        outputs: list[Any] = []
        seconds = timed(lambda: outputs.append(run(x, *more)), device)
        weight, y = module.weight, outputs[0]
        strides = module.stride
        steps = strides if isinstance(strides, tuple) else (strides,) * 3
        places = [-(-n // step) for n, step in zip(x.shape[2:], steps, strict=False)]
        costs[name] = {
            "name": name,
            "seconds": min(seconds, costs.get(name, {}).get("seconds", math.inf)),
            "kernel": list(weight.shape[2:]),
            "channels": [weight.shape[1], weight.shape[0]],
            "gmac": len(x) * math.prod(places) * weight.numel() / 1e9,
            "mbytes": size * (x.numel() + y.numel() + weight.numel()) / 1e6,
        }
        return y

    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            module.forward = partial(  # type: ignore[method-assign]
                measured, name, module, module.forward
            )
    for _ in range(LAYER_PASSES + 1):
        network(x)
    return list(costs.values())


def peaks_text(result: Result) -> str:
    """Say what the machine can do at most."""
    peaks = result["peaks"]
    return (
        f"Measured peaks: {peaks['gmac_fp32']:.0f} GMAC/s in float32 and "
        f"{peaks['gmac_bf16']:.0f} in bfloat16 (matrix products alone "
        f"{peaks['gemm_fp32']:.0f} and {peaks['gemm_bf16']:.0f}), "
        f"{peaks['copy_gb']:.0f} GB/s copying, {peaks['triad_gb']:.0f} GB/s triad."
    )


def parts(result: Result) -> list[dict[str, Any]]:
    """Return sums of the convolutions of each part of the network, and of all."""
    peaks = result["peaks"]
    sums: dict[str, dict[str, Any]] = {}
    for layer in result["layers"]["layers"]:
        for name in (layer["name"].split(".")[0], "all convolutions"):
            part = sums.setdefault(name, {"gmac": 0.0, "seconds": 0.0, "mbytes": 0.0})
            for key in part:
                part[key] += layer[key]
    sums["all convolutions"] = sums.pop("all convolutions")  # the last one
    for name, part in sums.items():
        part["of_peak"] = part["gmac"] / part["seconds"] / _peak(result)
        part["of_copying"] = part["mbytes"] / 1e3 / part["seconds"] / peaks["copy_gb"]
        part["name"] = name
    return list(sums.values())


def _peak(result: Result) -> float:
    kind = "fp32" if result["layers"]["precision"] == "fp32" else "bf16"
    return float(result["peaks"][f"gmac_{kind}"])


def layer_cells(result: Result) -> list[list[str]]:
    """Return the cells of the parts, then of all that is no convolution."""
    sums = parts(result)
    cells = [
        [
            part["name"],
            f"{part['gmac']:.2f}",
            f"{1e3 * part['seconds']:.1f}",
            f"{part['gmac'] / part['seconds']:.0f}",
            f"{100 * part['of_peak']:.0f} %",
            f"{part['mbytes'] / 1e3 / part['seconds']:.1f}",
            f"{100 * part['of_copying']:.0f} %",
        ]
        for part in sums
    ]
    whole, gmac = result["layers"]["seconds"], sums[-1]["gmac"]
    rest = max(0.0, whole - sums[-1]["seconds"])
    cells.append(["all else", "", f"{1e3 * rest:.1f}", "", "", "", ""])
    share = f"{100 * gmac / whole / _peak(result):.0f} %"
    rate = [f"{gmac:.2f}", f"{1e3 * whole:.1f}", f"{gmac / whole:.0f}", share]
    return [*cells, ["the network", *rate, "", ""]]


def share_text(result: Result) -> str:
    """Say how much of our time the network is."""
    ours, layers = result["rows"][0], result["layers"]
    if "seconds" not in ours:
        return ""
    network = ours["pieces"] * layers["seconds"]
    tile = "×".join(map(str, layers["tile"]))
    return (
        f"{ours['pieces']} tiles of {tile} voxels, {layers['precision']}: the network "
        f"is {network:.2f} s of {ours['seconds']:.2f} s, the rest reading, "
        f"normalising and blending. The first tile comes after "
        f"{ours['first_tile']:.2f} s. In a new process the model is loaded in "
        f"{ours['seconds_load']:.2f} s and the first prediction takes "
        f"{ours['seconds_first']:.2f} s."
    )


def main() -> None:
    """Measure and rewrite the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    result = json.loads(path.read_text("utf-8"))
    import torch

    options = result["options"]
    torch.set_num_threads(options["threads"])
    result["peaks"] = measure_peaks(options["device"])
    result["layers"] = measure_layers(options)
    path.write_text(json.dumps(result, indent=2), "utf-8")


if __name__ == "__main__":
    main()
