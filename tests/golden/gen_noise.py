"""Noise: torch's own on the CPU, and on CUDA as its source says, for which no GPU is needed."""

import numpy as np
import torch

from golden import save

SEEDS = [0, 1, 42, 2**31, 2**63 - 1, 2**64 - 1]
LENGTHS = [1, 2, 5, 15, 16, 17, 31, 33, 100, 5120, 4 * 64 * 64]
# Short and long draws from one generator: a short one keeps the second value of its last pair for the next short one.
MIXED = [1, 1, 5, 16, 2, 17, 3, 100, 1, 33, 0, 15, 16, 1]
WHOLE = 100


def summary(name, values):
    """The whole of a short draw; of a long one both ends, and two sums of its bits, one of them by position."""
    values = np.asarray(values, dtype=np.float32)
    if len(values) <= WHOLE:
        return {f"{name}/values": values}
    bits = values.view(np.uint32).astype(np.uint64)
    places = np.arange(1, len(bits) + 1, dtype=np.uint64)
    sums = np.array([bits.sum(), (bits * places).sum()], dtype=np.uint64)
    return {f"{name}/head": values[:64], f"{name}/tail": values[-64:], f"{name}/sums": sums.view(np.int64)}


def draws(generator_of):
    """`generator_of(seed)` is a function from a length to values that continues its stream."""
    tensors = {}
    for seed in SEEDS:
        for length in LENGTHS:
            tensors |= summary(f"{seed}/{length}", generator_of(seed)(length))
    draw = generator_of(7)
    tensors["mixed/lengths"] = np.array(MIXED)
    tensors["mixed/values"] = np.concatenate([draw(length) for length in MIXED]).astype(np.float32)
    return tensors


def torch_cpu(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda length: torch.randn(length, generator=generator).numpy()


def torch_cuda(seed):
    """`distribution_elementwise_grid_stride_kernel` of torch's DistributionTemplates.h with cuRAND's `curand_normal4`."""
    calls = 0

    def draw(length):
        nonlocal calls
        if length == 0:
            return np.zeros(0, np.float32)
        counter = np.zeros((4, length), np.uint32)
        counter[0], counter[2] = calls, np.arange(length)
        calls += 1
        x, y, _, _ = philox4x32_10(counter, seed)
        # `_curand_box_muller`: float32 but for the fused multiply-add of v, which needs the exact product.
        scale = np.float32(2.3283064e-10)
        scale_tau = scale * np.float32(6.2831855)
        u = x.astype(np.float32) * scale + scale / np.float32(2)
        v = (y.astype(np.float32).astype(np.float64) * scale_tau + scale_tau / 2).astype(np.float32)
        radius = np.sqrt(np.float32(-2) * np.log(u.astype(np.float64)).astype(np.float32))
        return np.sin(v.astype(np.float64)).astype(np.float32) * radius

    return draw


def philox4x32_10(counter, seed):
    c0, c1, c2, c3 = counter.astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    for i in range(10):
        k0 = np.uint64((seed + i * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((seed >> 32) + i * 0xBB67AE85) & 0xFFFFFFFF)
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & low, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & low
    return c0, c1, c2, c3


def write(out):
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        raise SystemExit("noise: torch draws other last digits on a CPU without AVX2")
    save(out / "noise/torch_cpu.safetensors", draws(torch_cpu), tolerance=0, reason="the same arithmetic: bit for bit")
    save(
        out / "noise/torch_cuda.safetensors",
        draws(torch_cuda),
        tolerance=0,
        reason="the same words, and the same steps each rounded to float32: bit for bit",
    )
