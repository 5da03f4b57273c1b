"""Measure what was done for speed, and what was tried and left out.

    python -m benchmarks.speed.kernels --json docs/speed_trials.json

Before and after take turns, each is its best of several passes, on all cores and with
the shipped default model's sizes on one field of view (32×232×344 voxels a tile). Some
are measured again as on a processor without AVX-512. Takes about two minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

TILE, CHANNELS, OUTPUTS = (32, 232, 344), 96, 384
ROUNDS = 7
PATIENCE = 180
"""Seconds for each fresh process; what takes longer is left out."""

OLD = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
"""oneDNN as on a processor without AVX-512; torch's own kernels stay as they are."""

Pair = tuple[str, Callable[[], object], Callable[[], object]]


def best(*runs: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of each, the best of several turns after a first one."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 1):
        for run, mine in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            mine.append(1e3 * (time.perf_counter() - began))
    return [min(mine[1:]) for mine in times]


def pairs(precision: str) -> Iterator[Pair]:
    """What is compared in one process: name, before, after."""
    import torch
    import torch.nn.functional as F

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    last = torch.channels_last
    _, height, width = TILE
    x = torch.randn(1, CHANNELS, height, width).to(dtype)
    kernel = 0.03 * torch.randn(CHANNELS, CHANNELS, 3, 3).to(dtype)
    bias = torch.randn(CHANNELS).to(dtype)
    flat = x.contiguous(memory_format=last)

    half = x[..., ::2, ::2]
    small = half.contiguous(memory_format=last)
    other = half.contiguous(memory_format=torch.contiguous_format)

    def block(small: torch.Tensor) -> torch.Tensor:
        up = F.interpolate(small, scale_factor=2.0, mode="bilinear")
        y = F.conv2d(F.relu(up), kernel, bias, padding=1)
        return up + F.conv2d(F.relu(y), kernel, bias, padding=1)

    yield (
        "decoder in one layout, channels last",
        lambda: block(other),
        lambda: block(small),
    )
    head = torch.randn(OUTPUTS, CHANNELS).to(dtype)
    shift = torch.randn(OUTPUTS).to(dtype)
    yield (
        "head as a matrix product",
        lambda: F.conv2d(flat, head[..., None, None], shift).contiguous().float(),
        lambda: torch.addmm(shift[:, None], head, flat.flatten(2)[0]).float(),
    )
    fused = torch.ops.mkldnn._convolution_pointwise
    ones = [1, 1]
    yield (
        "ReLU inside the convolution",
        lambda: F.relu(F.conv2d(flat, kernel, bias, padding=1)),
        lambda: fused(flat, kernel, bias, ones, ones, ones, 1, "relu", [], ""),
    )
    yield (
        "sum of a residual block inside the convolution",
        lambda: F.conv2d(flat, kernel, bias, padding=1) + flat,
        lambda: fused.binary(
            flat, flat, kernel, bias, ones, ones, ones, 1, "add", None, None, [], None
        ),
    )
    yield (
        "up-sampling by shifted sums",
        lambda: F.interpolate(small, scale_factor=2.0, mode="bilinear"),
        lambda: doubled(doubled(small.permute(0, 2, 3, 1), 1), 2),
    )
    yield from deep(dtype)


def deep(dtype: object) -> Iterator[Pair]:
    """The same of 3D convolutions."""
    import torch
    import torch.nn.functional as F

    for channels, size in ((128, (4, 29, 43)), (24, (16, 116, 172))):
        x = torch.randn(1, channels, *size).to(dtype)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        kernel = 0.03 * torch.randn(channels, channels, 3, 3, 3).to(dtype)
        planes = [
            kernel[:, :, k].contiguous(memory_format=torch.channels_last)
            for k in range(3)
        ]

        def usual(x=x, kernel=kernel) -> object:
            return F.conv3d(x, kernel, padding=1)

        def named(x=x, kernel=kernel) -> object:
            return torch.mkldnn_convolution(
                x, kernel, None, (1, 1, 1), (1, 1, 1), (1, 1, 1), 1
            )

        def flat(x=x, planes=planes) -> object:
            stack = x[0].transpose(0, 1)
            y = F.conv2d(stack, planes[1], padding=1)
            y[1:] += F.conv2d(stack[:-1], planes[0], padding=1)
            y[:-1] += F.conv2d(stack[1:], planes[2], padding=1)
            return y

        yield f"oneDNN asked by name, {channels} channels in 3D", usual, named
        yield f"3D convolution as three of planes, {channels} channels", named, flat


def doubled(x, dim: int):
    """Linear up-sampling along one axis, from each value and its neighbours."""
    import torch

    count = x.shape[dim]
    shape = [*x.shape[: dim + 1], 2, *x.shape[dim + 1 :]]
    out = x.new_empty(shape)
    before, after = out.select(dim + 1, 0), out.select(dim + 1, 1)
    here, there = x.narrow(dim, 1, count - 1), x.narrow(dim, 0, count - 1)
    torch.lerp(here, there, 0.25, out=before.narrow(dim, 1, count - 1))
    torch.lerp(there, here, 0.25, out=after.narrow(dim, 0, count - 1))
    before.select(dim, 0).copy_(x.select(dim, 0))
    after.select(dim, count - 1).copy_(x.select(dim, count - 1))
    return out.flatten(dim, dim + 1)


def blending() -> list[float]:
    """A tile of twelve structures into the shared buffer: numpy, then torch."""
    import numpy as np
    import torch

    target = np.zeros((12, *TILE), np.float32)
    source = np.ones_like(target)
    share = np.full(TILE, 0.5, np.float32)

    def before() -> None:
        for one, other in zip(target, source, strict=True):
            one += share * (other - one)

    def after() -> None:
        for one, other in zip(target, source, strict=True):
            torch.from_numpy(one).lerp_(
                torch.from_numpy(other), torch.from_numpy(share)
            )

    return best(before, after)


def network(precision: str, compiled: bool) -> list[float]:
    """The shipped network on a tile, and once more compiled."""
    import torch

    from napari_sparsessp import load_model

    model = load_model().network
    x = torch.randn(1, 2, *TILE).contiguous(memory_format=torch.channels_last_3d)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    with torch.inference_mode(), cast:
        runs = [lambda: model(x).float()]
        if compiled:
            torch._dynamo.config.recompile_limit = 100  # one for each convolution
            other = torch.compile(model)
            runs.append(lambda: other(x).float())
        return best(*runs, rounds=4)


def asked(task: str, precision: str, **environment: str) -> object:
    """Do one task in a fresh process; None where it fails."""
    command = [sys.executable, __file__, "--task", task, "--precision", precision]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    except subprocess.SubprocessError as error:
        sys.stderr.write(f"{task}, {precision}: left out ({type(error).__name__})\n")
        return None
    return json.loads(done.stdout)


def task(name: str, precision: str) -> object:
    """What a fresh process measures."""
    import torch

    if name in ("network", "compiled"):
        return network(precision, name == "compiled")
    if name == "blending":
        return blending()
    with torch.inference_mode():
        return {name: best(before, after) for name, before, after in pairs(precision)}


def measured() -> dict:
    """Everything, in milliseconds before and after."""
    busy = round(psutil.cpu_percent(interval=2) / 100 * (psutil.cpu_count() or 1), 2)
    small, large = (
        asked("network", "bf16", THP_MEM_ALLOC_ENABLE=value) for value in "01"
    )
    result: dict = {"busy": busy, "bf16": {}}
    if small and large:
        result["bf16"]["memory in pages of 2 MiB, whole network"] = [*small, *large]
    if blended := asked("blending", "fp32"):
        result["bf16"]["blending a tile in one pass"] = blended
    if compiled := asked("compiled", "bf16"):
        result["bf16"]["torch.compile, whole network"] = compiled
    result["bf16"] |= asked("pairs", "bf16") or {}
    result["fp32"] = asked("pairs", "fp32") or {}
    result["fp32 without AVX-512"] = asked("pairs", "fp32", **OLD) or {}
    return result


def main() -> None:
    """Measure and write, or do one task of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--task", choices=("network", "compiled", "blending", "pairs"))
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args()
    if options.task:
        print(json.dumps(task(options.task, options.precision)))
        return
    text = json.dumps(measured(), indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
