"""Write docs/generated/networks.md: which networks exist, their cost and speed.

    python -m benchmarks.claims.network_tables

Costs are counted here, without memory for weights. Speed comes from speed.json beside
the page, which ``sparsessp benchmark speed --json docs/generated/speed.json
--overwrite`` writes. Published numbers are those of SparseSSP's Table 6 and of the
networks' own publications.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cache

import yaml

from benchmarks import pages
from benchmarks.pages import GENERATED, ROOT
from napari_sparsessp.evaluation.speed_tables import (
    PATCH_HEADINGS,
    patch_cells,
    patch_conditions,
    patch_explanation,
    verdicts,
)
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.families import (
    FAMILIES,
)

PAGE, SPEED = GENERATED / "networks.md", GENERATED / "speed.json"

TABLE6 = {
    "RepMode": {"3d": 66.29, "2d": 2.33, "2to3d": 30.11, "3to2d": 43.47},
    "DoDNet": {"3d": 113.86, "2d": 1.82, "2to3d": 41.02, "3to2d": 76.61},
    "TSNs": {"3d": 55.70, "2d": 2.05, "2to3d": 13.94, "3to2d": 46.77},
}
"""GMAC of the paper's Table 6, r = 2."""

OURS = {
    "RepMode": (
        ("`plain`, k = 5", {"backbone": "plain", "kernel": 5}),
        ("`dod`", {"backbone": "dod"}),
    ),
    "DoDNet": (("`dod`", {"backbone": "dod"}),),
    "TSNs": (
        ("`resnet18`", {"backbone": "resnet18"}),
        ("`dod`", {"backbone": "dod"}),
    ),
}
METHODS = {"RepMode": "repmode", "DoDNet": "dodnet", "TSNs": "tsn"}

NARROW = (32, 64, 128, 256, 256)
ONE = {"conditioning": "multihead", "outputs": 1}
PLAIN, DOD = {"backbone": "plain", **ONE}, {"backbone": "dod", "conditioning": "dodnet"}
REPMODE = {"backbone": "plain", "conditioning": "repmode", "kernel": 5}
BAKED = {"standardised": False}
FOLDED = {"topology": "3to2d", "encoder_widths": NARROW}

COUNTS = (
    # name, description, without the dynamic head?, parameters (M), GMAC
    ("FNet 3d", {"backbone": "fnet", "topology": "3d", **ONE},
     False, 23.280769, 120.34),
    ("plain 3d, bottleneck 256", {**PLAIN, "topology": "3d", "encoder_widths": NARROW},
     False, 15.67, 119.37),
    ("plain 3d, k = 5 (RepMode merged)", {**PLAIN, "topology": "3d", "kernel": 5},
     False, 100.15, 546.18),
    ("RepMode as trained", {**REPMODE, "topology": "3d"}, False, 123.877633, 546.18),
    ("SparseSSP as released", {**REPMODE, "topology": "3to2d", "projection": "code"},
     False, 198.883264, 238.10),
    ("plain 2d", {**PLAIN, "topology": "2d"}, False, 8.13, 3.37),
    ("plain 2to3d", {**PLAIN, "topology": "2to3d"}, False, 13.67, 85.36),
    ("plain 3to2d", {**PLAIN, "topology": "3to2d"}, False, 18.04, 40.34),
    ("plain 3to2d, bottleneck 256, decoder 256, 128, 128, 64",
     {**PLAIN, **FOLDED, "decoder_widths": (64, 128, 128, 256)}, False, 11.49, 43.34),
    ("plain 3to2d, bottleneck 256, decoder 256 everywhere",
     {**PLAIN, **FOLDED, "decoder_widths": (256,) * 4}, False, 16.01, 76.83),
    ("DoDNet 3d, head and T = 7 as published",
     {**DOD, "topology": "3d", "outputs": 7}, False, 17.33, 113.94),
    ("DoDNet 3d, trunk", {**DOD, "topology": "3d"}, True, None, 113.867),
    ("DoDNet 2d, trunk, dense planes", {**DOD, "topology": "2d"}, True, 5.92, 2.89),
    ("DoDNet 2d, trunk, raw planes", {**DOD, "topology": "2d", "ratio": 2},
     True, 5.92, 2.82),
    ("DoDNet 2to3d, trunk, dense planes", {**DOD, "topology": "2to3d"},
     True, 7.17, 41.17),
    ("DoDNet 2to3d, trunk, raw planes", {**DOD, "topology": "2to3d", "ratio": 2},
     True, 7.17, 41.09),
    ("DoDNet 3to2d, trunk, projection 3d", {**DOD, "topology": "3to2d"},
     True, 16.3, 76.18),
    ("DoDNet 3to2d, trunk, projection 2d",
     {**DOD, "topology": "3to2d", "projection": "2d"}, True, 16.7, 76.68),
)  # fmt: skip
"""Networks whose size is published, or was counted by hand from a description."""


def families() -> str:
    """What exists, one family a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, family in FAMILIES.items():
        cells = (
            family.source,
            ", ".join(family.topologies),
            ", ".join(family.mappings),
            ", ".join(family.projections),
            ", ".join(family.conditionings),
            "-".join(map(str, family.defaults["encoder_widths"])),
        )
        rows.setdefault(cells, []).append(f"`{name}`")
    head = ("family", "source", "topology", "mapping", "projection", "conditioning")
    table = [(", ".join(names), *cells) for cells, names in rows.items()]
    return markdown([(*head, "encoder widths"), *table])


def counts() -> str:
    """Sizes that are known, beside ours."""
    table = [("network", "parameters", "ours", "GMAC", "ours")]
    for name, values, headless, millions, gmac in COUNTS:
        parameters, mine = trunk(values) if headless else cost(values)[:2]
        exact = millions is not None and round(millions, 2) != millions
        wanted = "" if millions is None else f"{millions:g} M"
        if exact:
            wanted = f"{millions * 1e6:,.0f}"
        own = f"{parameters:,}" if exact else f"{parameters / 1e6:.2f} M"
        digits = 3 if round(gmac, 2) != gmac else 2
        table.append(
            (name, wanted, own, f"{gmac:.{digits}f}", f"{mine:.{digits}f}"),
        )
    return markdown(table)


def slim() -> str:
    """The shipped networks."""
    head = ("network", "topology", "encoder", "blocks", "decoder", "sees, pixels")
    table = [(*head, "parameters", "GMAC 1", "GMAC 12")]
    recipe = yaml.safe_load((ROOT / "recipes" / "colony.yaml").read_text("utf-8"))
    for name, step in recipe["steps"].items():
        config = NetworkConfig.model_validate(step["network"])
        # Gains are folded into the weights before a model is written.
        parameters, one, every = _cost(config.model_copy(update=BAKED))
        widths = (config.encoder_widths, config.encoder_blocks, config.decoder_widths)
        row = ("-".join(map(str, one_of)) for one_of in widths)
        own = (f"{parameters / 1e6:.2f} M", f"{one:.2f}", f"{every:.2f}")
        table.append((name, f"`{config.topology}`", *row, str(config.reach), *own))
    return markdown(table)


def table6() -> str:
    """The paper's Table 6 beside ours."""
    head = ("method", "topology", "GMAC, paper", "of its 3d", "our network")
    table = [(*head, "parameters", "GMAC 1", "of its 3d", "GMAC 12", "12/1")]
    for method, published in TABLE6.items():
        for topology, gmac in published.items():
            first = (method, f"`{topology}`", f"{gmac:.2f}")
            first += (f"{gmac / published['3d']:.2f}",)
            for name, values in OURS[method]:
                exists = FAMILIES[values["backbone"]].topologies
                if topology not in exists:
                    continue
                parameters, one, every = cost(_network(method, topology, values))
                share = "–"
                if "3d" in exists:
                    whole = cost(_network(method, "3d", values))[1]
                    share = f"{one / whole:.2f}"
                own = (name, f"{parameters / 1e6:.2f} M", f"{one:.2f}", share)
                table.append((*first, *own, f"{every:.2f}", f"{every / one:.2f}"))
                first = ("", "", "", "")
    return markdown(table)


def speed() -> str:
    """What the benchmark measured."""
    result = json.loads(SPEED.read_text(encoding="utf-8"))
    width = len(PATCH_HEADINGS)
    rows = [row + [""] * (width - len(row)) for row in patch_cells(result)]
    above = [patch_conditions(result), patch_explanation(result)]
    below = [f"- {line}" for line in verdicts(result)]
    return "\n".join([*above, "", markdown([PATCH_HEADINGS, *rows]), "", *below])


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Lay out a table; columns whose last cell is a number to the right."""
    return pages.markdown(table, [i for i, c in enumerate(table[-1]) if _is_number(c)])


def sections() -> Iterator[tuple[str, str]]:
    """Every generated part of the page: its name and text."""
    for make in (families, slim, counts, table6, speed):
        yield make.__name__, make()


def cost(values: dict) -> tuple[int, float, float]:
    """Parameters, and GMAC of one structure and of all."""
    return _cost(NetworkConfig.model_validate(values))


def trunk(values: dict) -> tuple[int, float]:
    """Parameters and GMAC without DoDNet's dynamic head and its controller."""
    import torch

    from napari_sparsessp.networks import build_network

    config = NetworkConfig.model_validate(values)
    _, one, every = _cost(config)
    with torch.device("meta"):
        network = build_network(config)
    parameters = sum(
        weight.numel()
        for name, weight in network.named_parameters()
        if not name.startswith("head.dynamic")
    )
    return parameters, one - (every - one) / (config.outputs - 1)


@cache
def _cost(config: NetworkConfig) -> tuple[int, float, float]:
    from napari_sparsessp.networks.cost import count_cost

    one = count_cost(config, [0])
    if config.outputs == 1:
        return one.parameters, one.gmac, one.gmac
    # Each structure after the first costs the same, so two tell of all.
    more = count_cost(config, [0, 1]).gmac - one.gmac
    return one.parameters, one.gmac, one.gmac + (config.outputs - 1) * more


def _network(method: str, topology: str, values: dict) -> dict:
    ratio = 1 if topology.startswith("3") else 2
    return {
        **values,
        "conditioning": METHODS[method],
        "topology": topology,
        "ratio": ratio,
    }


def _is_number(cell: str) -> bool:
    text = cell.removesuffix(" M").replace(",", "")
    return cell == "–" or text.replace(".", "", 1).isdigit()


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    pages.fill(PAGE, sections())


if __name__ == "__main__":
    main()
