"""What `paper_claims.py` puts to the test: small networks, and claims of the paper."""

from dataclasses import dataclass

from napari_sparsessp.evaluation.trials import Trial
from napari_sparsessp.networks import NetworkConfig

RATIOS = (2, 4, 8)
PATCH = (48, 48)
DEPTH = 32

SMALL = {
    "backbone": "dod",
    "topology": "3to2d",
    "conditioning": "dodnet",
    "encoder_widths": (8, 16, 32, 64),
    "encoder_blocks": (1, 1, 1, 1),
    "folded_width": 64,
    "groups": 4,
    "depth": DEPTH,
}
"""DoDNet's U-Net with a quarter of the paper's widths and one level less."""

# The paper's 2D decoders have as many channels at full resolution as there are planes.
DECODERS = {"2d": (32, 32, 48), "3d": (8, 16, 32)}

SLIM = NetworkConfig(
    encoder_widths=(12, 24, 48),
    encoder_blocks=(1, 1, 2),
    decoder_widths=(64, 72, 96, 128),
    folded_width=64,
    depth=DEPTH,
    standardised=True,
)
"""The shipped default, scaled down to what the small 3-to-2D DoDNet costs."""

BASE = "3to2d"
RIVALS = ("3d", "2to3d", "3to2d", "2d", "multihead", "condnet", "tgnet", "repmode")
"""Trials that the default is held against at equal steps, time and GMAC."""


def small(**changes: object) -> NetworkConfig:
    """The small DoDNet with some choices changed."""
    values = {**SMALL, **changes}
    values.setdefault("decoder_widths", DECODERS[str(values["topology"])[-2:]])
    return NetworkConfig.model_validate(values)


def trials() -> dict[str, Trial]:
    """Every network, by its name in the tables."""
    networks = {
        # topology
        "3d": small(topology="3d"),
        "2to3d": small(topology="2to3d"),
        "3to2d": small(),
        "2d": small(topology="2d"),
        # projection
        "3to2d projection-2d": small(projection="2d"),
        "2to3d projection-2d": small(topology="2to3d", projection="2d"),
        # conditioning
        "multihead": small(conditioning="multihead"),
        "condnet": small(conditioning="condnet"),
        "tgnet": small(conditioning="tgnet"),
        "repmode": small(conditioning="repmode"),
        "slim": SLIM,
    }
    every = {name: Trial(name, one, RATIOS) for name, one in networks.items()}
    # Networks that take every fourth plane serve r = 4 alone; so does their rival.
    for topology in ("3to2d", "2d"):
        for mapping in ("prefix", "postfix", "none"):
            ratio = 1 if mapping == "prefix" else 4
            name = f"{topology} {mapping} r4"
            network = small(topology=topology, mapping=mapping, ratio=ratio)
            every[name] = Trial(name, network, (4,))
    return every


@dataclass(frozen=True)
class Claim:
    """One network is better than another, as the paper has it.

    Attributes
    ----------
    group, text : str
    better, worse : str
        Names of trials.
    paper : dict
        Ratio to the paper's scores of both: R², or MSE where the table has no other.
    score : {"R²", "MSE"}
        Which.
    source : str
    """

    group: str
    text: str
    better: str
    worse: str
    paper: dict[int, tuple[float, float]]
    source: str
    score: str = "R²"

    def published(self, ratio: int) -> float:
        """How much better in the paper: a difference of R², or of MSE turned round."""
        better, worse = self.paper[ratio]
        return better - worse if self.score == "R²" else worse - better


# R² of DoDNet with prefix mapping, r = 2, 4, 8 (Table 3), and of other methods in
# 3-to-2D; MSE by projection (Table 2); R² by mapping at r = 4 (Table 1).
_TOPOLOGY = {
    "3d": (0.4512, 0.4288, 0.4103),
    "2d": (0.3883, 0.3734, 0.3699),
    "2to3d": (0.4463, 0.4221, 0.4145),
    "3to2d": (0.4516, 0.4452, 0.4236),
}
_METHOD = {
    "condnet": (0.4501, 0.4281, 0.4205),
    "3to2d": (0.4516, 0.4452, 0.4236),
    "repmode": (0.4616, 0.4523, 0.4207),
    "tgnet": (0.4693, 0.4526, 0.4292),
}
_PROJECTION = {
    "3to2d": (0.5128, 0.5229, 0.5440),
    "3to2d projection-2d": (0.5351, 0.5405, 0.5660),
    "2to3d": (0.5244, 0.5367, 0.5535),
    "2to3d projection-2d": (0.5313, 0.5437, 0.5718),
}
_MAPPING = {
    "3to2d": {"prefix": 0.4452, "postfix": 0.4172, "none": 0.3794},
    "2d": {"prefix": 0.3734, "postfix": 0.3632, "none": 0.3243},
}


def claims() -> list[Claim]:
    """Every claim that is put to the test."""
    found = [
        _claim("topology", "3-to-2D beats 3D", "3to2d", "3d", _TOPOLOGY, "Table 3"),
        _claim("topology", "3-to-2D beats 2-to-3D", "3to2d", "2to3d", _TOPOLOGY,
               "Table 3"),
        _claim("topology", "3-to-2D beats 2D", "3to2d", "2d", _TOPOLOGY, "Table 3"),
        _claim("topology", "2-to-3D beats 2D", "2to3d", "2d", _TOPOLOGY, "Table 3"),
    ]  # fmt: skip
    for topology, label in (("3to2d", "3-to-2D"), ("2d", "2D")):
        for better, worse in (("prefix", "postfix"), ("postfix", "none")):
            scores = _MAPPING[topology]
            found.append(
                Claim(
                    "mapping",
                    f"{label}: {better} beats {worse}",
                    f"{topology} {better} r4",
                    f"{topology} {worse} r4",
                    {4: (scores[better], scores[worse])},
                    "Tables 1 and 3",
                )
            )
    for topology, label in (("3to2d", "3-to-2D"), ("2to3d", "2-to-3D")):
        text = f"{label}: projection in 3D beats 2D"
        other = f"{topology} projection-2d"
        one = _claim("projection", text, topology, other, _PROJECTION, "Table 2", "MSE")
        found.append(one)
    for better, worse, text in (
        ("tgnet", "3to2d", "TGNet beats DoDNet"),
        ("tgnet", "condnet", "TGNet beats CondNet"),
        ("tgnet", "repmode", "TGNet beats RepMode"),
        ("repmode", "3to2d", "RepMode beats DoDNet"),
        ("3to2d", "condnet", "DoDNet beats CondNet"),
    ):
        found.append(_claim("conditioning", text, better, worse, _METHOD, "Table 3"))
    return found


def _claim(
    group: str,
    text: str,
    better: str,
    worse: str,
    table: dict[str, tuple[float, float, float]],
    source: str,
    score: str = "R²",
) -> Claim:
    pairs = zip(table[better], table[worse], strict=True)
    paper = dict(zip(RATIOS, pairs, strict=True))
    return Claim(group, text, better, worse, paper, source, score)
