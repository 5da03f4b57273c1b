"""Write the tables of docs/generated/speed.md from what was measured.

    python -m benchmarks.speed.page              # from docs/generated/speed_field.json
    python -m benchmarks.speed.page --measure    # measure first; the machine idle

Measuring runs ``sparsessp benchmark speed --field`` and holds our network against the
machine's peak. The peak is the fastest of matrix products and a 3×3 convolution of 256
channels: on some processors torch convolves faster than it multiplies matrices.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks.pages import GENERATED, fill, markdown
from napari_sparsessp.evaluation.speed_tables import (
    FIELD_EXPLANATION,
    FIELD_HEADINGS,
    field_cells,
    field_conditions,
)
from napari_sparsessp.evaluation.speed_worker import autocast, timed

PAGE, FIELD = GENERATED / "speed.md", GENERATED / "speed_field.json"
# What was aimed at, on two cores.
SECONDS, PEAK = 5.0, 0.5
TIMES = {"SparseSSP, released 3-to-2D": 800, "FNet": 40}
SIDES, CHANNELS, PLANE, PASSES = (1024, 2048, 4096), 256, 128, 5
LONG = 1.0  # seconds of a product after which no larger one is tried


def field(result: Mapping[str, Any]) -> str:
    """The field of view by every way, and what was aimed at."""
    width = len(FIELD_HEADINGS)
    rows = [row + [""] * (width - len(row)) for row in field_cells(result)]
    table = markdown([FIELD_HEADINGS, *rows], range(2, width - 1))
    lines = [field_conditions(result), FIELD_EXPLANATION, "", table, ""]
    lines += ["Aims, and what was measured:", ""]
    found = {row["name"]: row for row in result["rows"]}
    if "seconds" in found.get("ours", {}):
        ours = found["ours"]["seconds"]
        lines.append(f"- all structures in {SECONDS:g} s: {ours:.2f} s")
    for name, aim in TIMES.items():
        row = found.get(name, {})
        if "ratio" in row:
            once = row.get("ratio_mixed_once")
            more = f" ({once:.0f} were the kernels mixed only once)" if once else ""
            lines.append(f"- {aim} times faster than {name}: {row['ratio']:.0f}{more}")
    goal = f"- {100 * PEAK:.0f} % of the measured peak"
    return "\n".join([*lines, f"{goal}: {100 * share_of_peak(result):.0f} %"])


def peaks(result: Mapping[str, Any]) -> str:
    """Where our time goes."""
    rates, network, ours = result["peaks"], result["network"], result["rows"][0]
    measured = [f"{rate:.0f} GMAC/s in {name}" for name, rate in rates.items()]
    seconds = ours["pieces"] * network["seconds"]
    tile = "×".join(map(str, network["tile"]))
    return (
        f"Measured peaks: {' and '.join(measured)}.\n"
        f"{ours['pieces']} tiles of {tile} voxels, {network['precision']}: the network "
        f"is {seconds:.2f} s of {ours['seconds']:.2f} s and reaches "
        f"{100 * share_of_peak(result):.0f} % of the peak ({network['gmac']:.2f} GMAC "
        "a tile), the rest is reading, normalising and blending. The first tile comes "
        f"after {ours['first_tile']:.2f} s. In a new process the model is loaded in "
        f"{ours['seconds_load']:.2f} s and the first prediction takes "
        f"{ours['seconds_first']:.2f} s."
    )


def share_of_peak(result: Mapping[str, Any]) -> float:
    """Return our network's rate over the machine's, in the same precision."""
    network = result["network"]
    rate: float = network["gmac"] / network["seconds"]
    return rate / result["peaks"][network["precision"]]


def measure_peak(precision: str, device: str, scale: int = 1) -> float:
    """Return GMAC/s that the machine reaches; sizes are divided by `scale`."""
    import torch
    import torch.nn.functional as F

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    make = partial(torch.randn, device=device)

    def rate(gmac: float, run: Any) -> float:
        run()
        return gmac / min(timed(run, device) for _ in range(PASSES))

    best, channels_last = 0.0, torch.channels_last
    with torch.inference_mode():
        for side in (side // scale for side in SIDES):
            a, gmac = make(side, side).to(dtype[precision]), side**3 / 1e9
            best = max(best, rate(gmac, partial(torch.mm, a, a)))
            if gmac / best > LONG:
                break
        side = PLANE // scale
        x, weight = (
            make(shape).to(dtype[precision], memory_format=channels_last)
            for shape in ((1, CHANNELS, side, side), (CHANNELS, CHANNELS, 3, 3))
        )
        gmac = 9 * CHANNELS**2 * side**2 / 1e9
        return max(best, rate(gmac, partial(F.conv2d, x, weight, padding=1)))


def measure_network(options: Mapping[str, Any]) -> dict[str, Any]:
    """Time our network on the tile that the engine gives it."""
    import torch

    from napari_sparsessp import load_model
    from napari_sparsessp.networks.cost import count_cost
    from napari_sparsessp.prediction.device import choose_device, choose_precision

    device = choose_device(options["device"])
    precision = choose_precision("auto", device)
    network: Any = load_model(options["model"]).network.to(device)
    config = network.config
    sides = [-(-n // config.stride) * config.stride for n in options["shape"][1:]]
    x = torch.randn(1, config.inputs, config.planes, *sides, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), autocast(precision, device.type):
        run = partial(network, x)
        seconds = min(timed(run, str(device)) for _ in range(PASSES + 1))
    about = {"tile": [config.planes, *sides], "precision": precision}
    return {**about, "seconds": seconds, "gmac": count_cost(config, None, sides).gmac}


def measure() -> None:
    """Run all measurements, one after the other."""
    import torch

    words = ("benchmark", "speed", "--field", "--overwrite", "--json", str(FIELD))
    subprocess.run([sys.executable, "-m", "napari_sparsessp.cli", *words], check=True)
    result = json.loads(FIELD.read_text("utf-8"))
    options = result["options"]
    torch.set_num_threads(options["threads"])
    result["network"] = measure_network(options)
    # No other: a precision that the hardware lacks is emulated, and takes for ever.
    precisions = dict.fromkeys(("fp32", result["network"]["precision"]))
    device = options["device"]
    result["peaks"] = {name: measure_peak(name, device) for name in precisions}
    FIELD.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def sections() -> Iterator[tuple[str, str]]:
    """Every generated part: its name and text."""
    result = json.loads(FIELD.read_text("utf-8"))
    yield from ((make.__name__, make(result)) for make in (field, peaks))


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    fill(PAGE, sections())


if __name__ == "__main__":
    main()
