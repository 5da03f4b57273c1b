"""Which networks `sparsessp benchmark speed` measures, and by which names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_sparsessp.models.library import read_card

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.config import (
    BACKBONES_2D,
    CONDITIONINGS,
    TOPOLOGIES,
    NetworkConfig,
)

RATIO = 2
"""Sparsity r of the patch: every second plane was imaged."""

QUICK = (
    "dod 3to2d prefix dodnet",
    "dod 2d none dodnet",
    "dod 3to2d prefix tgnet",
    "plain k5 2d repmode",
    "slim",
)


@dataclass(frozen=True)
class SpeedRow:
    """One network of the table.

    Attributes
    ----------
    name : str
        Its words are what ``--rows`` chooses by.
    config : NetworkConfig
    """

    name: str
    config: NetworkConfig

    @property
    def bound(self) -> float | None:
        """What twelve structures may cost at most, as a multiple of one.

        1.15 where they share all but the last layer, 2 where each has a pass of a 2D
        decoder after a shared 3D encoder; None where nothing is promised.
        """
        config = self.config
        if not config.per_structure:
            return 1.15
        whole = config.conditioning in ("multinet", "repmode")
        shares = not whole and config.task_where == "decoder"
        return 2.0 if shares and config.topology == "3to2d" else None


def speed_rows() -> list[SpeedRow]:
    """All rows, in the order of the table.

    Twelve structures and the paper's widths. A 3D encoder with a prefix mapping takes
    the dense grid; every other network takes the D/r planes as they were imaged, 2D
    encoders as channels.
    """
    rows = [
        _row(f"dod {topology} prefix {method}", topology, conditioning=method)
        for topology in TOPOLOGIES
        for method in CONDITIONINGS
    ]
    rows += [
        _row(f"dod {topology} none dodnet", topology, mapping="none")
        for topology in ("2d", "3to2d")
    ]
    rows += [
        _row(f"dod {topology} postfix dodnet", topology, mapping="postfix")
        for topology in TOPOLOGIES
    ]
    rows += [
        _row(f"dod {topology} prefix dodnet projection-2d", topology, projection="2d")
        for topology in ("2to3d", "3to2d")
    ]
    rows += [*_plain(), *_backbones()]
    shipped = NetworkConfig.model_validate(read_card().network)
    return [*rows, SpeedRow("slim", shipped)]


def choose_rows(texts: Sequence[str], quick: bool = False) -> list[SpeedRow]:
    """Rows that have all words of one of the texts; all where there is no text.

    Parameters
    ----------
    texts : sequence of str
        For example ``("dodnet 3to2d", "slim")``.
    quick : bool
        Only the handful for impatient people, unless rows are named.

    Returns
    -------
    list of SpeedRow

    Raises
    ------
    InputError
        A text fits no row; the message lists the words.
    """
    rows = speed_rows()
    if not texts:
        return [row for row in rows if not quick or row.name in QUICK]
    chosen: set[str] = set()
    for text in texts:
        words = set(text.split())
        fits = {row.name for row in rows if words <= set(row.name.split())}
        if not words or not fits:
            known = sorted({word for row in rows for word in row.name.split()})
            raise InputError(
                f"no row of the benchmark has the words {text!r}; "
                f"choose among: {' '.join(known)}"
            )
        chosen |= fits
    return [row for row in rows if row.name in chosen]


def _row(name: str, topology: str, **changes: Any) -> SpeedRow:
    """Describe one row; DoDNet in the ``dod`` family where nothing else is said."""
    values: dict[str, Any] = {"backbone": "dod", "conditioning": "dodnet"}
    dense = topology.startswith("3") and changes.get("mapping", "prefix") == "prefix"
    ratio = 1 if dense else RATIO
    values |= {"topology": topology, "ratio": ratio, "outputs": 12, **changes}
    return SpeedRow(name, NetworkConfig.model_validate(values))


def _plain() -> list[SpeedRow]:
    repmode: dict[str, Any] = {
        "backbone": "plain",
        "conditioning": "repmode",
        "kernel": 5,
    }
    rows = [
        _row(f"plain k5 {topology} repmode", topology, **repmode)
        for topology in TOPOLOGIES
    ]
    rows.append(
        _row("plain k5 3to2d repmode released", "3to2d", **repmode, projection="code")
    )
    shared: dict[str, Any] = {"conditioning": "multihead"}
    fnet = _row("fnet 3d one-structure", "3d", backbone="fnet", outputs=1, **shared)
    return [
        *rows,
        fnet,
        *(
            _row(f"plain k3 {topology} multihead", topology, backbone="plain", **shared)
            for topology in TOPOLOGIES[1:]
        ),
    ]


def _backbones() -> list[SpeedRow]:
    return [
        _row(f"{name} {topology} tsn", topology, backbone=name, conditioning="tsn")
        for name in BACKBONES_2D
        for topology in ("2d", "2to3d")
    ]
