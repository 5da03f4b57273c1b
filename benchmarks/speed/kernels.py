"""Measure what was done for speed, and what was tried and left out.

    python -m benchmarks.speed.kernels --json docs/generated/speed_trials.json

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
from typing import Any

TILE, CHANNELS, OUTPUTS = (32, 232, 344), 96, 384
PATIENCE = 180  # seconds for each fresh process; what takes longer is left out
# oneDNN as on a processor without AVX-512; torch's own kernels stay as they are.
OLD = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
TASKS = ("network", "compiled", "blending", "pairs")


def best(*runs: Callable[[], object], rounds: int = 7) -> list[float]:
    """Return milliseconds of each, the best of several turns after a first one."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 1):
        for run, mine in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            mine.append(1e3 * (time.perf_counter() - began))
    return [min(mine[1:]) for mine in times]


def pairs(dtype: Any) -> Iterator[tuple[str, Callable, Callable]]:
    """Yield what is compared: name, before, after."""
    import torch
    import torch.nn.functional as F

    x = torch.randn(1, CHANNELS, *TILE[1:]).to(dtype)
    kernel = 0.03 * torch.randn(CHANNELS, CHANNELS, 3, 3).to(dtype)
    bias = torch.randn(CHANNELS).to(dtype)
    flat = x.contiguous(memory_format=torch.channels_last)
    small, other = (
        x[..., ::2, ::2].contiguous(memory_format=form)
        for form in (torch.channels_last, torch.contiguous_format)
    )

    def block(small: torch.Tensor) -> torch.Tensor:
        up = F.interpolate(small, scale_factor=2.0, mode="bilinear")
        y = F.conv2d(F.relu(up), kernel, bias, padding=1)
        return up + F.conv2d(F.relu(y), kernel, bias, padding=1)

    def conv() -> torch.Tensor:
        return F.conv2d(flat, kernel, bias, padding=1)

    head, shift = (
        torch.randn(OUTPUTS, CHANNELS).to(dtype),
        torch.randn(OUTPUTS).to(dtype),
    )
    fused, plain = torch.ops.mkldnn._convolution_pointwise, ([1, 1], [1, 1], [1, 1], 1)
    yield (
        "decoder in one layout, channels last",
        lambda: block(other),
        lambda: block(small),
    )
    yield (
        "head as a matrix product",
        lambda: F.conv2d(flat, head[..., None, None], shift).contiguous().float(),
        lambda: torch.addmm(shift[:, None], head, flat.flatten(2)[0]).float(),
    )
    yield (
        "ReLU inside the convolution",
        lambda: F.relu(conv()),
        lambda: fused(flat, kernel, bias, *plain, "relu", [], ""),
    )
    last = ("add", None, None, [], None)
    yield (
        "sum of a residual block inside the convolution",
        lambda: conv() + flat,
        lambda: fused.binary(flat, flat, kernel, bias, *plain, *last),
    )
    yield (
        "up-sampling by shifted sums",
        lambda: F.interpolate(small, scale_factor=2.0, mode="bilinear"),
        lambda: doubled(doubled(small.permute(0, 2, 3, 1), 1), 2),
    )
    for channels, size in ((128, (4, 29, 43)), (24, (16, 116, 172))):
        yield from deep(channels, size, dtype)


def deep(channels: int, size: tuple[int, ...], dtype: Any) -> Iterator[tuple]:
    """Yield the same of 3D convolutions."""
    import torch
    import torch.nn.functional as F

    x = torch.randn(1, channels, *size).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    kernel = 0.03 * torch.randn(channels, channels, 3, 3, 3).to(dtype)
    form = torch.channels_last
    planes = [kernel[:, :, k].contiguous(memory_format=form) for k in range(3)]

    def flat() -> torch.Tensor:
        stack = x[0].transpose(0, 1)
        y = F.conv2d(stack, planes[1], padding=1)
        y[1:] += F.conv2d(stack[:-1], planes[0], padding=1)
        y[:-1] += F.conv2d(stack[1:], planes[2], padding=1)
        return y

    def usual() -> torch.Tensor:
        return F.conv3d(x, kernel, padding=1)

    one = (1, 1, 1)
    yield (
        f"oneDNN asked by name, {channels} channels in 3D",
        usual,
        lambda: torch.mkldnn_convolution(x, kernel, None, one, one, one, 1),
    )
    yield f"3D convolution as three of planes, {channels} channels", usual, flat


def doubled(x: Any, dim: int) -> Any:
    """Up-sample linearly along one axis, from each value and its neighbours."""
    import torch

    count = x.shape[dim]
    out = x.new_empty([*x.shape[: dim + 1], 2, *x.shape[dim + 1 :]])
    before, after = out.select(dim + 1, 0), out.select(dim + 1, 1)
    here, there = x.narrow(dim, 1, count - 1), x.narrow(dim, 0, count - 1)
    torch.lerp(here, there, 0.25, out=before.narrow(dim, 1, count - 1))
    torch.lerp(there, here, 0.25, out=after.narrow(dim, 0, count - 1))
    before.select(dim, 0).copy_(x.select(dim, 0))
    after.select(dim, count - 1).copy_(x.select(dim, count - 1))
    return out.flatten(dim, dim + 1)


def blending() -> list[float]:
    """Blend a tile of twelve structures into the buffer: numpy, then torch."""
    import numpy as np
    import torch

    target = np.zeros((12, *TILE), np.float32)
    source, share = np.ones_like(target), np.full(TILE, 0.5, np.float32)
    both = [[torch.from_numpy(one) for one in array] for array in (target, source)]

    def before() -> None:
        for one, other in zip(target, source, strict=True):
            one += share * (other - one)

    def after() -> None:
        for one, other in zip(*both, strict=True):
            one.lerp_(other, torch.from_numpy(share))

    return best(before, after)


def network(precision: str, compiled: bool) -> list[float]:
    """Run the shipped network on a tile, and once more compiled."""
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


def in_fresh_process(task: str, precision: str, **environment: str) -> Any:
    """Do one task in a process of its own; None where it fails."""
    command = [sys.executable, "-m", "benchmarks.speed.kernels", "--task", task]
    done = None
    try:
        done = subprocess.run(
            [*command, "--precision", precision],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    except subprocess.SubprocessError as error:
        sys.stderr.write(f"{task}, {precision}: left out ({type(error).__name__})\n")
    return done and json.loads(done.stdout)


def measured() -> dict[str, Any]:
    """Return everything, in milliseconds before and after."""
    import psutil

    busy = round(psutil.cpu_percent(interval=2) / 100 * (psutil.cpu_count() or 1), 2)
    pages = [in_fresh_process("network", "bf16", THP_MEM_ALLOC_ENABLE=n) for n in "01"]
    first = {
        "memory in pages of 2 MiB, whole network": all(pages) and sum(pages, []),
        "blending a tile in one pass": in_fresh_process("blending", "fp32"),
        "torch.compile, whole network": in_fresh_process("compiled", "bf16"),
    }
    bf16 = {name: both for name, both in first.items() if both}
    return {
        "busy": busy,
        "bf16": bf16 | (in_fresh_process("pairs", "bf16") or {}),
        "fp32": in_fresh_process("pairs", "fp32") or {},
        "fp32 without AVX-512": in_fresh_process("pairs", "fp32", **OLD) or {},
    }


def main() -> None:
    """Measure and write, or do one task of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args()
    if not options.task:
        text = json.dumps(measured(), indent=2)
        if options.json:
            options.json.write_text(text + "\n", encoding="utf-8")
        else:
            print(text)
        return
    import torch

    with torch.inference_mode():
        if options.task == "pairs":
            dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[options.precision]
            found: Any = {name: best(*both) for name, *both in pairs(dtype)}
        elif options.task == "blending":
            found = blending()
        else:
            found = network(options.precision, options.task == "compiled")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
