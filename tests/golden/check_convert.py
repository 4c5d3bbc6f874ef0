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
from diffusers import (
    AutoencoderKL,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from golden import FIXTURES
from safetensors.torch import load_file

TINY = FIXTURES / "tiny-ip2p"
TINY_XL = FIXTURES / "tiny-sdxl"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def same(found, expected, dtype, what):
    plain = lambda state: {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    found, expected = plain(found.state_dict()), plain(expected.state_dict())
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name].float(), tensor.to(dtype).float()), f"{what}: {name}"


def check_xl(ip2p, folder):
    """Of XL the folder as a whole, and of the file what diffusers makes of its names: the whole asks for encoders of the full size."""
    load = lambda path, **settings: StableDiffusionXLInstructPix2PixPipeline.from_pretrained(
        path, torch_dtype=torch.float32, add_watermarker=False, **settings
    )
    original = load(TINY_XL, variant="fp16")
    file, back = folder / "xl.safetensors", folder / "xl"
    for arguments in [(TINY_XL, file), (file, back)]:
        subprocess.run([ip2p, "convert", *arguments, "--precision", "f32", "--quiet"], check=True)
    pipeline = load(back)
    for network in ["unet", "vae", "text_encoder", "text_encoder_2"]:
        same(getattr(pipeline, network), getattr(original, network), torch.float32, f"XL folder, {network}")
    state = load_file(file)
    second = original.text_encoder_2
    prefix = "conditioner.embedders.1.model."
    # diffusers takes the width of the states from this projection, which is as wide in every checkpoint but this.
    projection = state.pop(prefix + "text_projection")
    assert torch.equal(projection.T, second.text_projection.weight)
    first = {name.removeprefix("text_model."): x for name, x in original.text_encoder.state_dict().items()}
    for read, own in [
        (convert_ldm_unet_checkpoint(dict(state), original.unet.config), original.unet.state_dict()),
        (convert_ldm_vae_checkpoint(dict(state), original.vae.config), original.vae.state_dict()),
        (convert_open_clip_checkpoint(second, dict(state), prefix=prefix), second.state_dict()),
        (
            {
                name.removeprefix("conditioner.embedders.0.transformer.text_model."): x
                for name, x in state.items()
                if name.startswith("conditioner.embedders.0.")
            },
            first,
        ),
    ]:
        assert read.keys() == own.keys() - {"text_projection.weight"}, read.keys() ^ own.keys()
        for name, x in read.items():
            assert torch.equal(x.reshape(own[name].shape), own[name]), name


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
        check_xl(ip2p, Path(folder))
    print("diffusers reads folders and files of", ", ".join(DTYPES), "and of XL")


if __name__ == "__main__":
    main()
