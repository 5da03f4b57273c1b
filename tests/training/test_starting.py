"""Fine-tuning begins with all that the model knows, by the names of structures."""

import pytest
import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.run import freeze_encoder, transfer

SMALL = {
    "backbone": "dod", "depth": 8, "encoder_widths": (4, 8), "encoder_blocks": (1, 1),
    "decoder_widths": (4,), "folded_width": 8, "groups": 2,
}  # fmt: skip
KNOWN = ("dna", "golgi_apparatus", "zo1")
KINDS = [
    {"conditioning": "multihead"},
    {"conditioning": "multihead", "heads": "decoder"},
    {"conditioning": "dodnet"},
    {"conditioning": "condnet"},
    {"conditioning": "condnet", "task_where": "input"},
    {"conditioning": "tgnet"},
    {"conditioning": "tsn"},
    {"conditioning": "repmode", "backbone": "plain"},
    {"conditioning": "multinet"},
    {"conditioning": "multihead", "backbone": "slim", "decoder_widths": (8, 8, 12)},
]


def pair_of(kind, wanted):
    """A model that knows three structures, and a network for others."""
    torch.manual_seed(0)
    fields = {**SMALL, **kind}
    source = build_network(NetworkConfig.model_validate({**fields, "outputs": 3}))
    new = {**fields, "outputs": len(wanted)}
    network = build_network(NetworkConfig.model_validate(new))
    transfer(source, KNOWN, network, wanted)
    return source.eval(), network.eval()


@pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values()))
)
@pytest.mark.parametrize(
    "wanted",
    [KNOWN, ("zo1", "dna"), ("new", "zo1", "dna", "golgi_apparatus")],
    ids=["same", "fewer", "more"],
)  # fmt: skip
def test_known_structures_are_predicted_as_before(kind, wanted):
    if kind["conditioning"] == "tsn" and wanted != KNOWN:
        with pytest.raises(InputError, match="a tsn network cannot change"):
            pair_of(kind, wanted)
        return
    source, network = pair_of(kind, wanted)
    x = torch.randn(1, source.config.inputs, 8, 16, 16)
    with torch.inference_mode():
        before, after = source(x), network(x)
    for index, name in enumerate(wanted):
        if name in KNOWN:
            expected = before[:, KNOWN.index(name)]
            torch.testing.assert_close(after[:, index], expected)


@pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values()))
)
def test_a_frozen_encoder_is_all_that_is_frozen(kind):
    _, network = pair_of(kind, KNOWN)
    freeze_encoder(network)
    frozen = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert frozen
    assert not any(
        word in name for name in frozen for word in ("decoder", "head", "transform")
    )
    learning = {n for n, p in network.named_parameters() if p.requires_grad}
    assert not any("encoder." in f"{name}." for name in learning)
