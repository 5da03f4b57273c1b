"""The result of `sparsessp benchmark speed --field` as tables for people."""

from collections.abc import Mapping
from typing import Any

from napari_sparsessp.evaluation.speed_table import aligned

HEADINGS = ("prediction", "precision", "s", "times ours", "MiB", "measured")
LAYER_HEADINGS = ("part", "GMAC", "ms", "GMAC/s", "of peak", "GB/s", "of copying")

QUIET = 0.3
"""Cores that others may keep busy before the figures are called provisional."""


def field_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """Cells of each row below `HEADINGS`; a row that was not measured says why."""
    cells: list[list[str]] = []
    for row in result["rows"]:
        cells.append(_cells(row))
        if "seconds_mixed_once" in row:
            cells.append(
                [
                    "– kernels mixed only once",
                    "",
                    seconds_text(row["seconds_mixed_once"]),
                    times_text(row.get("ratio_mixed_once")),
                    "",
                    "",
                ]
            )
    return cells


def _cells(row: Mapping[str, Any]) -> list[str]:
    name, precision = row["name"], row["precision"]
    if "skipped" in row:
        return [name, precision, f"left out: {row['skipped']}"]
    return [
        f"{name} ({row['model']})" if "model" in row else name,
        precision,
        seconds_text(row["seconds"]),
        times_text(row.get("ratio")),
        f"{row['peak_mib']:.0f}",
        measured_text(row),
    ]


def measured_text(row: Mapping[str, Any]) -> str:
    """Say of how much a row's time is the time."""
    if row["kind"] == "engine":
        return f"end to end, best of {row['repeats']}"
    what = "windows" if row["kind"] == "windows" else "structures"
    return f"scaled from {row['measured']} of {row['pieces']} {what}"


def seconds_text(seconds: float) -> str:
    """Three digits at most."""
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def times_text(times: float | None) -> str:
    """A multiple, or a dash."""
    if times is None:
        return "–"
    return f"{times:.1f}" if times < 20 else f"{times:.0f}"


def conditions(result: Mapping[str, Any]) -> str:
    """Say where and how it was measured, in a few sentences."""
    machine, options = result["machine"], result["options"]
    size = "×".join(map(str, options["shape"]))
    device = "" if options["device"] == "cpu" else f", device {options['device']}"
    text = (
        f"One field of view, {size} voxels, all structures, r = 1, on "
        f"{options['threads']} of {machine['cores']} cores{device}; {machine['cpu']}."
    )
    if result["busy"] > QUIET:
        text += f" PROVISIONAL: others kept {result['busy']:.1f} cores busy meanwhile."
    return text


def explanation() -> str:
    """Say what the columns mean."""
    return (
        "s: ours, from a volume in memory to the blended prediction in memory; of the "
        "others the networks alone: the fastest piece measured, after a warm-up, times "
        "the exact number of pieces. Each structure is a pass of its own. RepMode "
        "and SparseSSP mix their experts' kernels before each window, as their code "
        "does. MiB: peak of a fresh process above what it had before the network."
    )


def peaks_text(result: Mapping[str, Any]) -> str:
    """Say what the machine can do at most."""
    peaks = result["peaks"]
    return (
        f"Measured peaks: {peaks['gmac_fp32']:.0f} GMAC/s in float32 and "
        f"{peaks['gmac_bf16']:.0f} in bfloat16 (matrix products alone "
        f"{peaks['gemm_fp32']:.0f} and {peaks['gemm_bf16']:.0f}), "
        f"{peaks['copy_gb']:.0f} GB/s copying, {peaks['triad_gb']:.0f} GB/s triad."
    )


def parts(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sums of the convolutions of each part of the network, and all of them.

    Returns
    -------
    list of dict
        ``name``, ``gmac``, ``seconds``, ``mbytes``, ``of_peak`` (share of the measured
        multiply-adds a second) and ``of_copying`` (share of the bytes a second).
    """
    measured, peaks = result["layers"], result["peaks"]
    peak = peaks["gmac_fp32" if measured["precision"] == "fp32" else "gmac_bf16"]
    sums: dict[str, dict[str, Any]] = {}
    for layer in measured["layers"]:
        for name in (layer["name"].split(".")[0], "all convolutions"):
            one = sums.setdefault(
                name, {"name": name, "gmac": 0.0, "seconds": 0.0, "mbytes": 0.0}
            )
            for key in ("gmac", "seconds", "mbytes"):
                one[key] += layer[key]
    found = [one for name, one in sums.items() if name != "all convolutions"]
    found.append(sums["all convolutions"])
    for one in found:
        one["of_peak"] = one["gmac"] / one["seconds"] / peak
        one["of_copying"] = one["mbytes"] / 1e3 / one["seconds"] / peaks["copy_gb"]
    return found


def layer_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """Cells of the parts below `LAYER_HEADINGS`, then of what is no convolution."""
    cells = [
        [
            one["name"],
            f"{one['gmac']:.2f}",
            f"{1e3 * one['seconds']:.1f}",
            f"{one['gmac'] / one['seconds']:.0f}",
            f"{100 * one['of_peak']:.0f} %",
            f"{one['mbytes'] / 1e3 / one['seconds']:.1f}",
            f"{100 * one['of_copying']:.0f} %",
        ]
        for one in parts(result)
    ]
    whole = result["layers"]["seconds"]
    convolved = parts(result)[-1]["seconds"]
    rest = max(0.0, whole - convolved)
    cells.append(["all else", "", f"{1e3 * rest:.1f}", "", "", "", ""])
    total = sum(layer["gmac"] for layer in result["layers"]["layers"])
    peak = parts(result)[-1]["gmac"] / convolved / parts(result)[-1]["of_peak"]
    cells.append(
        [
            "the network",
            f"{total:.2f}",
            f"{1e3 * whole:.1f}",
            f"{total / whole:.0f}",
            f"{100 * total / whole / peak:.0f} %",
            "",
            "",
        ]
    )
    return cells


def share_text(result: Mapping[str, Any]) -> str:
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


def field_text(result: Mapping[str, Any]) -> str:
    """Lay out the whole result for a terminal."""
    lines = [aligned([HEADINGS, *field_cells(result)]), ""]
    lines += [conditions(result), explanation(), peaks_text(result)]
    if "layers" in result.get("layers", {}):
        lines += ["", aligned([LAYER_HEADINGS, *layer_cells(result)])]
        lines += ["", share_text(result)]
    return "\n".join(lines)
