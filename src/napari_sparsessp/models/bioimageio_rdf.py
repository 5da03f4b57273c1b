"""Write the texts of a bioimage.io package: ``rdf.yaml`` and ``README.md``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, gcd
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard, all_qualities
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.version import __version__

FORMAT_VERSION = "0.5.12"
"""Of the specification; that of bioimageio.core 0.11."""

HALO = 56
"""Pixels at the border of a block that are thrown away, unless the network reaches
less far: a cut then moves no voxel of the shipped models by more than 2 % of the
prediction's standard deviation, on the bundled colony and a real field."""

EXTREMES = (0.05, 99.95)
"""Percentiles outside which a ``robust`` scaling leaves values out."""

SCALINGS = ("robust", "zscore", "none")
"""Those that the specification has words for."""

EPSILON = 1e-6
"""Added to a standard deviation by bioimage.io."""

_AXES = ("z", "y", "x")

_PAPERS = {"SparseSSP": "https://arxiv.org/abs/2407.02159"}
"""Addresses of what citations name without a DOI."""

_LICENCES = (
    "AGPL-3.0-only", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0",
    "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "CC0-1.0", "GPL-2.0-only",
    "GPL-3.0-only", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "Unlicense",
)  # fmt: skip
"""SPDX ids that a card's licence is looked up in."""

_FIXED_DEVICE = ("condnet", "dodnet", "tgnet", "tsn")
"""Conditionings whose task codes are made where the network was traced."""

_CONTENT = {
    "dna": "nuclei",
    "dapi": "nuclei",
    "nuclear_envelope": "nuclei",
    "nucleolus": "nuclei",
    "cell_membrane": "cell-membrane",
    "mitochondria": "mitochondria",
}
"""Words of bioimage.io for structures; all are in cells."""


@dataclass(frozen=True)
class Interface:
    """Sizes (z, y, x) of the exported network's input: ``least + n·step``."""

    ratio: int  # Dense planes for each plane of the input
    least: tuple[int, int, int]
    step: tuple[int, int, int]  # 0 where a size is fixed
    halo: int  # Of the output, in y and x

    @classmethod
    def of(cls, card: ModelCard, config: NetworkConfig, ratio: int | None) -> Interface:
        """Return the sizes at a ratio; the smallest of the card where left out."""
        prefix = config.mapping == "prefix"
        if ratio is None:
            ratio = ceil(min(card.ratios)) if prefix else config.ratio
        if not min(card.ratios) <= ratio <= max(card.ratios):
            trained = ", ".join(f"{one:g}" for one in card.ratios)
            raise InputError(
                f"model {card.id} was not trained for ratio {ratio}; choose from "
                f"{trained}"
            )
        if not prefix and ratio != config.ratio:
            raise InputError(
                f"model {card.id} is made for ratio {config.ratio} alone; leave "
                "--ratio out"
            )
        share, step = ratio if prefix else 1, 0
        if config.topology == "3d":
            dense = config.planes // config.level_depths(config.planes)[-1]
            step = dense // gcd(dense, share)
            planes = ceil(config.planes / (share * step)) * step
        elif config.planes % share:
            raise InputError(
                f"model {card.id} takes {config.planes} planes, which are no "
                f"multiple of ratio {ratio}; choose another --ratio"
            )
        else:
            planes = config.planes // share
        side = config.stride
        halo = ceil(min(config.reach, HALO) / side) * side
        edge = 2 * halo + side
        return cls(ratio, (planes, edge, edge), (step, side, side), halo)

    @property
    def traced(self) -> tuple[int, int, int]:
        """Return small sizes, all of them others than those of the test input."""
        z, y, x = self.step
        return self.least[0] + z, 2 * y, 3 * x


# rdf.yaml ---------------------------------------------------------------------------


def describe(
    card: ModelCard,
    config: NetworkConfig,
    sizes: Interface,
    digests: Mapping[str, str],
    made: Mapping[str, Any],
) -> str:
    """Return ``rdf.yaml``; `digests` are the SHA-256 of the package's files."""
    import torch
    import yaml

    files = {name: {"source": name, "sha256": one} for name, one in digests.items()}
    description: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": _name(card),
        "description": _summary(card),
        "version": card.version,
        "timestamp": made["when"],
        "authors": _authors(card, shipped=made["shipped"]),
        "cite": _citations(card),
        "license": spdx(card.licence) or files.get("LICENSE.txt"),
        "tags": _tags(card, config),
        "documentation": files["README.md"],
        "covers": [files["cover.jpg"]] if "cover.jpg" in files else [],
        "attachments": [files["card.json"]],
        "inputs": [{**_input(card, sizes), "test_tensor": files["test_input.npy"]}],
        "outputs": [{**_output(card, sizes), "test_tensor": files["test_output.npy"]}],
        "weights": {
            "torchscript": {
                **files["weights.pt"],
                "pytorch_version": torch.__version__.partition("+")[0],
            }
        },
        "config": {
            "bioimageio": {
                "modality": card.modality,
                "target_structure": [_label(one) for one in card.structures],
                "task": "in-silico-labeling",
            },
            "napari_sparsessp": {
                "version": __version__,
                "model": card.id,
                "sha256": made["sha256"],
                "ratio": sizes.ratio,
            },
        },
    }
    if not re.fullmatch(r"\d+(\.\d+)*", card.version):
        del description["version"]
    kept = {name: value for name, value in description.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _input(card: ModelCard, sizes: Interface) -> dict[str, Any]:
    scales, _ = _scales(card, sizes)
    axes: list[dict[str, Any]] = [
        {"type": "batch", "size": 1},
        {"type": "channel", "channel_names": [card.modality]},
    ]
    for name, least, step, scale in zip(
        _AXES, sizes.least, sizes.step, scales, strict=True
    ):
        size = {"min": least, "step": step} if step else least
        whole = name == "z" and card.z_projection != "none"
        axes.append(_space(name, size, scale) | {"concatenable": not whole})
    preprocessing = [
        {
            "id": "zero_mean_unit_variance",
            "kwargs": {"axes": ["channel", *_AXES], "eps": EPSILON},
        }
    ]
    return {
        "id": "input",
        "description": f"{card.modality} z-stack, plane 0 lowest"[:128],
        "axes": axes,
        "data": {"type": "float32"},
        "preprocessing": [] if card.scaling == "none" else preprocessing,
    }


def _output(card: ModelCard, sizes: Interface) -> dict[str, Any]:
    axes: list[dict[str, Any]] = [
        {"type": "batch", "size": 1},
        {"type": "channel", "channel_names": list(card.structures)},
    ]
    _, scales = _scales(card, sizes)
    for name, scale in zip(_AXES, scales, strict=True):
        size: Any = {"tensor_id": "input", "axis_id": name}
        if name == "z" and card.z_projection != "none":
            size, scale = 1, scale * sizes.least[0] * sizes.ratio
        halo = {"halo": sizes.halo} if name != "z" and sizes.halo else {}
        axes.append(_space(name, size, scale) | halo)
    return {
        "id": "output",
        "description": "predicted fluorescence, z-scored, a channel for each structure",
        "axes": axes,
        "data": {"type": "float32"},
    }


def _space(name: str, size: Any, scale: float) -> dict[str, Any]:
    return {
        "type": "space",
        "id": name,
        "size": size,
        "unit": "micrometer",
        "scale": scale,
    }


def _scales(card: ModelCard, sizes: Interface) -> tuple[list[float], list[float]]:
    """Return µm of the input's and of the output's voxels (z, y, x).

    Readers take the output's size from n·scale/scale, rounded down, which makes 455 of
    456 pixels of 0.29 µm. With the 24 bits of float32 both steps are exact.
    """
    output = [float(np.float32(size)) for size in card.voxel_size]
    return [output[0] * sizes.ratio, *output[1:]], output


def _name(card: ModelCard) -> str:
    clean = " ".join(re.sub(r"[^A-Za-z0-9_+() -]+", " ", card.name).split())
    return (clean if len(clean) >= 5 else f"SparseSSP {card.id}")[:128]


def _summary(card: ModelCard) -> str:
    names = [_label(one) for one in card.structures]
    shown = ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
    return f"Predicts fluorescence ({shown}) from {card.modality} z-stacks."[:1024]


def _label(structure: str) -> str:
    return structure_or_custom(structure).label


def spdx(licence: str) -> str | None:
    """Return the SPDX id that a card's licence names, None where it is another text."""
    wanted = re.sub(r"[^a-z0-9.]", "", licence.lower())
    for one in _LICENCES:
        plain = re.sub(r"[^a-z0-9.]", "", one.lower())
        if wanted in (plain, plain.removesuffix("only")):
            return one
    return None


def _authors(card: ModelCard, *, shipped: bool) -> list[dict[str, str]]:
    if shipped:
        return [{"name": "The napari-sparsessp developers"}]
    # Of an imported network, those who published it; else whoever shares the package.
    first = re.match(r"[^,;(/\\]+ et al\.", card.citation)
    return [{"name": first[0]}] if first else []


def _citations(card: ModelCard) -> list[dict[str, str]]:
    text = card.citation
    found = [
        {"text": text, "doi": doi.rstrip(".")}
        for doi in dict.fromkeys(re.findall(r"\b10\.\d{4,9}/[^\s,;()]+", text))
    ]
    links = re.findall(r"https?://(?!(?:dx\.)?doi\.org/)[^\s,;()]+", text)
    links += [link for name, link in _PAPERS.items() if name in text]
    return found + [{"text": text, "url": link} for link in dict.fromkeys(links)]


def _tags(card: ModelCard, config: NetworkConfig) -> list[str]:
    tags = ["in-silico-labeling", "label-free", "virtual-staining"]
    tags += ["transmission-light-microscopy", re.sub(r"\W+", "-", card.modality)]
    tags += ["3d" if config.planes > 1 else "2d", "pytorch", "unet", "cells"]
    tags += [_CONTENT[one] for one in card.structures if one in _CONTENT]
    return list(dict.fromkeys([*tags, *card.structures]))


# README.md --------------------------------------------------------------------------


def readme(
    card: ModelCard,
    config: NetworkConfig,
    sizes: Interface,
    source: np.ndarray,
    made: Mapping[str, Any],
) -> str:
    """Return the package's documentation; `source` is its test input."""
    sections = {
        "Use": [*_use(card, config, sizes), *_scaling(card, source)],
        "Trained on": [card.trained_on],
        "Scores": _scores(card),
        "Validation": [
            "Predict a stack of your own of which you have the fluorescence as well, "
            "cells that the network has not seen. Scale the fluorescence to mean 0 and "
            "deviation 1 and compare voxel by voxel: R², and Pearson's correlation "
            "within planes, which a mere trend along z does not raise."
        ],
        "Limits": [f"- {limit}" for limit in card.limits] or ["None is on the card."],
        "Licence and citation": [card.licence, *[card.citation][: bool(card.citation)]],
        "Origin": [
            f"Model `{card.id}` {card.version}, SHA-256 `{made['sha256']}`, exported "
            f"by napari-sparsessp {__version__}. `card.json` is its card. The "
            "prediction of that program differs from this network's bare output: it "
            "resamples to the voxel size, blends overlapping windows along z, and "
            "leaves empty planes and hot pixels out of the scaling."
        ],
    }
    text = [f"# {card.name}", _summary(card)]
    for title, parts in sections.items():
        text += [f"## {title}", _joined(parts)]
    return "\n\n".join(text) + "\n"


def _joined(parts: Iterable[str]) -> str:
    """Join paragraphs; rows of lists and tables stay together."""
    text = ""
    for part in parts:
        row = part.startswith(("- ", "|"))
        text += (
            "\n" if row and text.rpartition("\n")[2][:1] in "-|" else "\n\n"
        ) + part
    return text.strip()


def _use(card: ModelCard, config: NetworkConfig, sizes: Interface) -> list[str]:
    (z, y, x), _ = _scales(card, sizes)
    planes, edge, _ = sizes.least
    step = sizes.step[0]
    deep = f"{planes} planes or {step} more, 2·{step} more, …" if step else f"{planes}"
    lines = [
        f"- Input: one channel of {card.modality}, axes (batch, channel, z, y, x), "
        f"voxels of {z:g} × {y:g} × {x:g} µm. Resample first: the network knows no "
        "other size.",
        f"- Sizes: z {deep}; y and x {edge} or multiples of {sizes.step[1]} more.",
        "- Output: fluorescence in units of its standard deviation around its mean, a "
        f"channel for each structure: {', '.join(card.structures)}.",
    ]
    if card.z_projection != "none":
        lines.append(f"- The output is one plane, the {card.z_projection} over z.")
    elif step:
        lines.append(
            "- Give the whole depth in one block: seams across z are not hidden."
        )
    else:
        lines.append(
            f"- A deeper stack is cut into blocks of {planes} planes, and their seams "
            "across z are not hidden."
        )
    if sizes.halo:
        lines.append(
            f"- Blocks in y and x lose {sizes.halo} pixels on each side to hide cuts"
            + (
                "; still, this network looks at the whole block, so that another size "
                "gives other numbers."
                if config.sees_whole or config.attends
                else "."
            )
        )
    if sizes.ratio > 1:
        lines.append(
            f"- Sparse: each plane of the input stands for {sizes.ratio} planes of the "
            "output. The network interpolates them itself."
        )
    if config.conditioning in _FIXED_DEVICE:
        lines.append("- On the CPU only: the trace keeps the device of its task codes.")
    if config.inputs > 1:
        lines.append(
            "- The network's second channel, the distance to the nearest measured "
            f"plane, is built inside, for r = {sizes.ratio}."
        )
    return lines


def _scaling(card: ModelCard, source: np.ndarray) -> list[str]:
    if card.scaling == "none":
        return ["- Scaling: none; values as the microscope gives them."]
    if card.scaling == "zscore":
        return ["- Scaling: mean 0, deviation 1 over the whole stack."]
    kept = np.clip(source, *np.percentile(source, EXTREMES))
    shift = abs(float(source.mean() - kept.mean())) / float(kept.std())
    wider = float(source.std() / kept.std()) - 1
    return [
        "- Scaling: mean 0, deviation 1 over the whole stack. The network learned from "
        f"a mean and deviation without values beyond percentiles {EXTREMES[0]} and "
        f"{EXTREMES[1]}, for which the specification has no word that all programs "
        f"compute alike. On the test stack the mean differs by {shift:.4f} deviations "
        f"and the deviation by {wider:.2%}. Remove hot pixels and empty planes first: "
        "they would change both much more."
    ]


def _scores(card: ModelCard) -> list[str]:
    rows = []
    for quality in all_qualities(card):
        ratios = quality.ratios
        rows.append(f"R² over all voxels, {quality.cells}: {quality.measured_on}.")
        rows.append("| | " + " | ".join(f"r = {ratio:g}" for ratio in ratios) + " |")
        rows.append("|---" * (len(ratios) + 1) + "|")
        for structure in quality.r2:
            values = [quality.at(structure, ratio) for ratio in ratios]
            cells = ["" if value is None else f"{value:.2f}" for value in values]
            rows.append(f"| {_label(structure)} | " + " | ".join(cells) + " |")
    return rows or ["The card has no R²; validate before you trust it."]
