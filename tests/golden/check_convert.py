#!/usr/bin/env python3
"""Checks that diffusers reads what `ip2p convert` writes, to the same numbers.

    cargo build
    venv/bin/python tests/golden/check_convert.py target/debug/ip2p
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from golden import FIXTURES

TINY = FIXTURES / "tiny-ip2p"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def same(found, expected, dtype, what):
    plain = lambda state: {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    found, expected = plain(found.state_dict()), plain(expected.state_dict())
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name].float(), tensor.to(dtype).float()), f"{what}: {name}"


def main():
    ip2p = Path(sys.argv[1]).resolve()
    original = StableDiffusionInstructPix2PixPipeline.from_pretrained(TINY)
    networks = ["unet", "vae", "text_encoder"]
    with tempfile.TemporaryDirectory() as folder:
        for name, dtype in DTYPES.items():
            run = lambda *arguments: subprocess.run([ip2p, "convert", *arguments, "--quiet"], check=True)
            file, back = Path(folder) / f"{name}.safetensors", Path(folder) / name
            run(TINY, file, "--precision", name)
            run(file, back, "--precision", name)
            pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(back, torch_dtype=dtype)
            for network in networks:
                same(getattr(pipeline, network), getattr(original, network), dtype, f"{name} folder, {network}")
            # A pipeline of the full size needs no config; the tiny one has none that diffusers knows.
            pipeline = StableDiffusionInstructPix2PixPipeline.from_single_file(
                file, config=str(TINY), torch_dtype=dtype, local_files_only=True, num_in_channels=8
            )
            for network in networks:
                same(getattr(pipeline, network), getattr(original, network), dtype, f"{name} file, {network}")
    print("diffusers reads folders and files of", ", ".join(DTYPES))


if __name__ == "__main__":
    main()
