"""The network at the start of a training: fresh, or an existing model."""

import re

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.config import FineTune
from napari_sparsessp.training.setup import Setup

_ENCODER = ("encoder", "plane_stem", "down")
"""First parts of the names of all that comes before depth is folded."""


def starting_network(
    setup: Setup, config: NetworkConfig, structures: tuple[str, ...]
) -> nn.Module:
    """Build the network, the same for the same seed.

    Parameters
    ----------
    setup : Setup
    config : NetworkConfig
    structures : tuple of str
        Of its outputs.

    Raises
    ------
    ModelError
        The model to begin with is damaged.
    """
    torch.manual_seed(setup.config.seed)
    network = build_network(config)
    given = setup.config.network
    if isinstance(given, FineTune):
        model = load_model(given.source)
        transfer(model.network, model.card.structures, network, structures)
        if given.freeze_encoder:
            freeze_encoder(network)
    return network


def freeze_encoder(network: nn.Module) -> None:
    """Let only what comes after the encoder learn, in place."""
    for name, parameter in network.named_parameters():
        own = re.sub(r"^networks\.\d+\.", "", name)  # multinet has one each
        if own.split(".")[0] in _ENCODER:
            parameter.requires_grad_(False)


@torch.no_grad()
def transfer(
    source: nn.Module,
    known: tuple[str, ...],
    network: nn.Module,
    wanted: tuple[str, ...],
) -> None:
    """Take over all weights; outputs go by structure, new ones stay as they are.

    Parameters
    ----------
    source, network : Module
        Of the same description but for their outputs.
    known, wanted : tuple of str
        Structures of both.

    Raises
    ------
    InputError
        The structures differ and cannot be told apart in the weights.
    """
    config = network.config
    assert isinstance(config, NetworkConfig)
    have, own = source.state_dict(), network.state_dict()
    if wanted == known:
        network.load_state_dict(have)
        return
    more = _one_output_more(network)
    shared = [(wanted.index(one), known.index(one)) for one in wanted if one in known]
    for name, tensor in own.items():
        first, number, *rest = [*name.split("."), ""]
        if f"{first}.{len(wanted)}.{'.'.join(rest)}".rstrip(".") in more.keys() - own:
            # A list with an entry for each structure.
            for new, old in shared:
                if int(number) == new:
                    tensor.copy_(have[f"{first}.{old}.{'.'.join(rest)}".rstrip(".")])
            continue
        longer = [
            (axis, more[name][axis] - length) for axis, length in
            enumerate(tensor.shape) if more[name][axis] != length
        ]  # fmt: skip
        if not longer:
            tensor.copy_(have[name])
            continue
        if len(longer) > 1:
            # Layers as wide as there are structures mix them (tsn).
            raise InputError(
                f"a {config.conditioning} network cannot change its "
                f"structures; set model.structures to {', '.join(known)}, or leave "
                "it out"
            )
        ((axis, each),) = longer
        _copy_rows(tensor, have[name], axis, each, len(wanted), shared)


def _one_output_more(network: nn.Module) -> dict[str, torch.Size]:
    """Shapes of the same network with another output: what grows is structures'."""
    config = network.config
    assert isinstance(config, NetworkConfig)
    with torch.device("meta"):
        twin = build_network(config.model_copy(update={"outputs": config.outputs + 1}))
    return {name: tensor.shape for name, tensor in twin.state_dict().items()}


def _copy_rows(
    tensor: torch.Tensor,
    other: torch.Tensor,
    axis: int,
    each: int,
    structures: int,
    shared: list[tuple[int, int]],
) -> None:
    """Copy what belongs to the structures, behind what belongs to none."""
    before = tensor.shape[axis] - each * structures
    tensor.narrow(axis, 0, before).copy_(other.narrow(axis, 0, before))
    for new, old in shared:
        rows = other.narrow(axis, before + old * each, each)
        tensor.narrow(axis, before + new * each, each).copy_(rows)
