"""Tensors in the formats of GGUF files, and their numbers as the package gguf of ggml's authors reads them."""

import gguf
import numpy as np
import torch
from golden import save
from gguf.quants import dequantize, quantize

# Of these the package makes blocks; of the K formats it only reads them.
WRITTEN = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
READ = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the scales of a block are, which are 16 bits wide: random bits there might be no numbers.
SCALES = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def blocks(name, rng):
    """Two rows of 512 numbers, quantised."""
    kind = gguf.GGMLQuantizationType[name]
    if name in WRITTEN:
        return quantize(rng.standard_normal((2, 512)).astype(np.float32), kind)
    size, length = gguf.GGML_QUANT_SIZES[kind]
    rows = rng.integers(0, 256, (2 * 512 // size, length), dtype=np.uint8)
    for at in SCALES[name]:
        scale = rng.uniform(0.01, 0.1, len(rows)).astype(np.float16)
        rows[:, at : at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return rows.reshape(2, -1)


def write_quantized(out):
    """Numbers, and the blocks that the package makes of them: random ones, ties, zeros, and blocks of one number."""
    rng = np.random.default_rng(22)
    numbers = rng.standard_normal((12, 64)).astype(np.float32)
    numbers[8] = (np.arange(64) - 32) / 2
    numbers[8, [0, 32]] = 127, -8
    numbers[9, :32] = 0
    numbers[10] = 0
    numbers[10, [5, 40]] = -3, 1e-7
    numbers[11] *= 1e4
    tensors = {"numbers": torch.from_numpy(numbers)}
    for name in ["Q8_0", "Q4_0"]:
        tensors[name] = torch.from_numpy(quantize(numbers, gguf.GGMLQuantizationType[name]))
    save(out / "single" / "quantized.safetensors", tensors, 0.0, "the same blocks")


def write(out):
    write_quantized(out)
    rng = np.random.default_rng(21)
    path = out / "single" / "formats.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "sd")
    expected = {}
    for name in WRITTEN + READ:
        kind = gguf.GGMLQuantizationType[name]
        data = blocks(name, rng)
        writer.add_tensor(f"first_stage_model.{name}", data, raw_dtype=kind)
        expected[name] = torch.from_numpy(dequantize(data, kind).astype(np.float32))
    for name, dtype in [("F32", np.float32), ("F16", np.float16)]:
        data = rng.standard_normal((2, 3, 1, 5)).astype(dtype)
        writer.add_tensor(f"first_stage_model.{name}", data)
        expected[name] = torch.from_numpy(data.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save(out / "single" / "formats.safetensors", expected, 1e-6, "products of a scale and small numbers, in f32")
