"""Tiny checkpoints in the published formats, made from networks of ours.

The names are written down here a second time, from the formats' descriptions, so that
the importers' tables are compared with something.
"""

import re
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from tensor_bundle import write

MODE = {
    "conv.expert_5": "expert_conv5x5_conv",
    "conv.expert_3": "expert_conv3x3_conv",
    "conv.expert_1": "expert_conv1x1_conv",
    "conv.pool_3": "expert_avg3x3_conv",
    "conv.pool_5": "expert_avg5x5_conv",
    "conv.average_3": "expert_avg3x3_pool",
    "conv.average_5": "expert_avg5x5_pool",
    "conv.gate": "gate",
    "norm": "subsequent_layer.0",
}
ADAM = {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0, 1]}]}


def repmode(path: Path, data_sets=("dna", "lamin_b1"), **changes) -> torch.nn.Module:
    """RepMode's ``model_best_*.p``; returns the network that it came from."""
    network = _network(conditioning="repmode", outputs=len(data_sets), **changes)
    state = _renamed(network, _repmode_name)
    options = Namespace(adopted_datasets=list(data_sets), gpu_ids=-1, lr=1e-4)
    content = {
        "nn_module": "RepMode",
        "opts": options,
        "nn_state": state,
        "optimizer_state": ADAM,
        "count_iter": 7,
        "count_epoch": 1,
    }
    torch.save(content, path)
    return network


def sparsessp(
    path: Path, topology: str = "3to2d", prefix: str = "", **changes
) -> torch.nn.Module:
    """SparseSSP's ``best.pth``; returns the network that it came from."""
    fields = {"outputs": 3, "interpolation": "hold", "depth": 8}
    if topology == "3to2d":
        fields |= {"projection": "code", "decoder_widths": (4, 6), "folded_width": 8}
    fields |= changes
    network = _network(conditioning="repmode", topology=topology, **fields)
    state = _renamed(network, _sparsessp_name)
    state = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    torch.save({"model": state, "optimizer": ADAM, "metas": {"epoch": 9}}, path)
    return network


def fnet(
    path: Path, dimension: int = 3, *, legacy: bool = False, **changes
) -> torch.nn.Module:
    """pytorch_fnet's ``model.p``; returns the network that it came from."""
    fields = {"backbone": "fnet", "topology": f"{dimension}d", "kernel": 3}
    fields |= {"outputs": 1, "depth": 32 if dimension == 3 else 1, **changes}
    network = _network(**fields)
    state = _renamed(network, _fnet_name)
    if legacy:
        content = {"nn_module": "fnet_nn_3d", "nn_kwargs": {}, "nn_state": state}
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        content = {
            "fnet_model_class": "fnet.fnet_model.Model",
            "fnet_model_kwargs": {"nn_kwargs": {"depth": 2, "mult_chan": 2}},
            "fnet_model_posargs": [],
            "nn_state": state,
            "optimizer_state": ADAM,
            "count_iter": 50_000,
        }
        torch.save(content, path)
    return network


def gvtnet(folder: Path, widths=(2, 3, 4), **changes) -> torch.nn.Module:
    """GVTNets' checkpoint of TensorFlow, Adam's slots included; returns the network.

    `changes` are arrays to be written beside or instead of those of the network.
    """
    torch.manual_seed(1)
    fields = {"encoder_widths": widths, "decoder_widths": widths[:-1]}
    fields |= {"outputs": 1, "depth": 32, "encoder_blocks": (1,) * len(widths)}
    network = build_network(NetworkConfig(backbone="gvt", **fields)).eval()
    tensors = {"global_step": np.array(7, "<i8"), "beta1_power": np.array(0.1, "<f4")}
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if "norm" in name:
            tensor.uniform_(0.5, 2)
        array = tensor.numpy()
        if array.ndim == 5:
            array = np.ascontiguousarray(array.transpose(2, 3, 4, 1, 0))
        tensors[_gvtnet_name(name)] = array
        for slot in ("Adam", "Adam_1"):
            tensors[f"{_gvtnet_name(name)}/{slot}"] = array
    write(folder, {**tensors, **changes})
    return network


def _network(**fields) -> torch.nn.Module:
    """A network with two levels and norms that change what passes."""
    fields = {
        "backbone": "plain",
        "topology": "3d",
        "kernel": 5,
        "inputs": 1,
        "encoder_widths": (2, 3, 4),
        "decoder_widths": (2, 3),
        **fields,
    }
    torch.manual_seed(4)
    network = build_network(NetworkConfig(**fields))
    for name, tensor in network.state_dict().items():
        if name.endswith(("norm.weight", "running_var")):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("norm.bias", "running_mean")):
            tensor.normal_()
    return network.eval()


def _renamed(
    network: torch.nn.Module, name_of: Callable[[str, int], str]
) -> "OrderedDict[str, torch.Tensor]":
    bottom = len(network.config.encoder_widths) - 1
    return OrderedDict(
        (name_of(name, bottom), tensor.clone())
        for name, tensor in network.state_dict().items()
    )


def _mode(rest: str) -> str:
    ours = next(one for one in MODE if rest == one or rest.startswith(f"{one}."))
    return MODE[ours] + rest[len(ours) :]


def _step(rest: str) -> str:
    return rest.replace("conv.", "0.").replace("norm.", "1.")


def _repmode_name(name: str, bottom: int) -> str:
    if name.startswith("head."):
        return f"conv_out.{_mode(name[5:])}"
    side, kind, level, rest = re.match(r"(\w+)\.(\w+)\.(\d)\.(.*)", name).groups()
    number = int(level) + 1
    if kind in ("downs", "ups"):
        step = "conv_down" if kind == "downs" else "convt"
        return f"{side}_block{number}.{step}.{_step(rest)}"
    unit, rest = int(rest[6]) + 1, _mode(rest[8:])
    if number > bottom:
        return f"bottle_block.conv{unit}.{rest}"
    pair = "conv_more" if side == "encoder" else "conv_less"
    return f"{side}_block{number}.{pair}.conv{unit}.{rest}"


def _sparsessp_name(name: str, bottom: int) -> str:
    if name.startswith("head."):
        return f"out_head.{_mode(name[5:])}"
    if name.startswith("transform."):
        level, rest = re.match(r"transform\.levels\.(\d)\.(.*)", name).groups()
        gate = 0 if int(level) == bottom else int(level) + 1
        return f"dec_before_hook.out_gates.{gate}.{_mode(rest)}"
    theirs = _repmode_name(name, bottom)
    theirs = theirs.replace("bottle_block.", "bottle_neck.")
    block = re.match(r"(encoder|decoder)_block(\d)\.(.*)", theirs)
    if block is None:
        return theirs
    side, number, rest = block.groups()
    index = int(number) - 1 if side == "encoder" else bottom - int(number)
    return f"{side}_layers.blocks.{index}.{rest}"


def _fnet_name(name: str, bottom: int) -> str:
    if name.startswith("head.conv."):
        return f"conv_out.{name[10:]}"
    side, kind, level, rest = re.match(r"(\w+)\.(\w+)\.(\d)\.(.*)", name).groups()
    place = "net_recurse" + ".sub_u" * int(level)
    if kind == "levels":
        unit, rest = int(rest[6]) + 1, rest[8:]
        rest = rest.replace("conv.", f"conv{unit}.").replace("norm.", f"bn{unit}.")
        return f"{place}.sub_2conv_{'more' if side == 'encoder' else 'less'}.{rest}"
    conv, norm = ("conv_down", "bn0") if kind == "downs" else ("convt", "bn1")
    return f"{place}.{rest.replace('conv.', f'{conv}.').replace('norm.', f'{norm}.')}"


_GVT_NORM = {
    "weight": "gamma", "bias": "beta",
    "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip
_GVT_BOTTOM = {"query": "q", "key": "k", "value": "v", "out": "out"}


def _gvtnet_name(name: str) -> str:
    *path, part = name.split(".")
    end = {"weight": "kernel"}.get(part, part)
    end = _GVT_NORM[part] if "norm" in path[-1] else end
    down = f"encoding_block_{int(path[1]) + 2}" if path[0] == "downs" else ""
    up = f"decoding_block_{int(path[1]) + 1}" if path[0] in ("ups", "decoder") else ""
    match path:
        case ["first"]:
            where = "first_convolution"
        case ["head"]:
            where = "output_convolution"
        case ["norm"]:
            where = "batch_norm_output"
        case ["attention", "norm"]:
            where = "bottom_block/block_0/batch_norm"
        case ["attention", layer]:
            where = f"bottom_block/block_0/attention/{_GVT_BOTTOM[layer]}_transform"
        case ["downs", _, "shortcut"]:
            where = f"{down}/downsampling/projection_shortcut"
        case ["ups", _]:
            where = f"{up}/upsampling/transposed_convolution"
        case [*unit, layer]:
            places = {"residual": "encoding_block_1/res_0"}
            places |= {"downs": f"{down}/downsampling", "decoder": f"{up}/res_0"}
            kind = {"conv": "convolution", "norm": "batch_norm"}[layer[:-1]]
            where = f"{places[unit[0]]}/{kind}_{layer[-1]}"
    return f"{where}/{end}"
