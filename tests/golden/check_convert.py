#!/usr/bin/env python3
"""Checks that diffusers, ggml's package gguf and stable-diffusion.cpp read what `ip2p convert` writes, to the same numbers.

    cargo build
    venv/bin/python tests/golden/check_convert.py target/debug/ip2p [--sdcpp PYTHON] [--full FOLDER]

`--sdcpp` is the Python of an environment with stable-diffusion-cpp-python, which compiles C++ for some minutes when it is installed:

    python3 -m venv sdcpp && sdcpp/bin/pip install stable-diffusion-cpp-python

`--full` is the folder that full.py makes: stable-diffusion.cpp knows networks of Stable Diffusion's size alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from diffusers import (
    GGUFQuantizationConfig,
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
QUANTISED = ["q8_0", "q4_0"]
NETWORKS = ["unet", "vae", "text_encoder"]


def plain(network):
    return {name.removeprefix("text_model."): tensor for name, tensor in network.state_dict().items()}


def same(found, expected, dtype, what):
    found, expected = plain(found), plain(expected)
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


def check_safetensors(convert, folder, original):
    for name, dtype in DTYPES.items():
        file, back = folder / f"{name}.safetensors", folder / name
        convert(TINY, file, name)
        convert(file, back, name)
        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(back, torch_dtype=dtype)
        for network in NETWORKS:
            same(getattr(pipeline, network), getattr(original, network), dtype, f"{name} folder, {network}")
        # A pipeline of the full size needs no config; the tiny one has none that diffusers knows.
        pipeline = StableDiffusionInstructPix2PixPipeline.from_single_file(
            file, config=str(TINY), torch_dtype=dtype, local_files_only=True, num_in_channels=8
        )
        for network in NETWORKS:
            same(getattr(pipeline, network), getattr(original, network), dtype, f"{name} file, {network}")
    print("diffusers reads folders and files of", ", ".join(DTYPES))


def blocks(tensor, kind):
    """A tensor as the package gguf writes it."""
    if kind == gguf.GGMLQuantizationType.BF16:
        return tensor.to(torch.bfloat16).view(torch.uint16).numpy().view(np.uint8)
    plain = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}
    numbers = tensor.float().numpy()
    return numbers.astype(plain[kind]) if kind in plain else gguf.quants.quantize(numbers, kind)


def check_gguf(convert, folder):
    """Every byte of every tensor, against the package's own quantisation of the single file's numbers."""
    expected = load_file(folder / "f32.safetensors")
    for name in [*DTYPES, *QUANTISED]:
        file = folder / f"{name}.gguf"
        convert(TINY, file, name)
        reader = gguf.GGUFReader(file)
        assert {tensor.name for tensor in reader.tensors} == expected.keys()
        text = lambda key: reader.fields[key].contents()
        assert text("general.architecture") == "sd1" and json.loads(text("ip2p.files")), reader.fields.keys()
        most = gguf.LlamaFileType[("ALL_" if name == "f32" else "MOSTLY_") + name.upper()]
        assert text("general.file_type") == most
        kinds = set()
        for tensor in reader.tensors:
            own = expected[tensor.name]
            assert list(reversed(tensor.shape.tolist())) == list(own.shape), tensor.name
            assert (tensor.tensor_type == gguf.GGMLQuantizationType.F32) == (name == "f32" or own.dim() == 1), tensor.name
            written = np.ascontiguousarray(tensor.data).view(np.uint8).ravel()
            assert np.array_equal(written, blocks(own, tensor.tensor_type).view(np.uint8).ravel()), tensor.name
            kinds.add(tensor.tensor_type.name)
        assert name.upper() in kinds, kinds
    print("the package gguf reads files of", ", ".join([*DTYPES, *QUANTISED]), "and writes the same bytes")


def check_gguf_in_diffusers(folder, original):
    """The U-Net, whose matrices diffusers leaves in blocks; an output of it against that of the numbers in the blocks."""
    inputs = torch.randn(1, 8, 16, 16), torch.tensor([500]), torch.randn(1, 77, 32)
    for name in [*DTYPES, *QUANTISED]:
        unet = UNet2DConditionModel.from_single_file(
            folder / f"{name}.gguf",
            quantization_config=GGUFQuantizationConfig(compute_dtype=torch.float32),
            config=str(TINY),
            subfolder="unet",
            torch_dtype=torch.float32,
            local_files_only=True,
        )
        own = original.unet.state_dict()
        for key, tensor in unet.state_dict().items():
            kind = getattr(tensor, "quant_type", None)
            if kind is not None:
                bytes_of = torch.from_numpy(np.ascontiguousarray(blocks(own[key], kind))).view(torch.uint8).flatten()
                assert torch.equal(tensor.data.view(torch.uint8).flatten(), bytes_of), f"{name}: {key}"
        with torch.no_grad():
            found, exact = (network(*inputs).sample for network in (unet, original.unet))
        error = (found - exact).norm() / exact.norm()
        print(f"diffusers' U-Net of a GGUF file in {name}: its output differs by {error:.1e} from that in f32")
        assert error < {"f32": 1e-6, "f16": 2e-3, "bf16": 5e-3, "q8_0": 1e-2, "q4_0": 0.15}[name], error


SDCPP_CONVERT = """
import sys, stable_diffusion_cpp as sd
source, output, kind = sys.argv[1:]
assert sd.convert(source.encode(), b"", output.encode(), int(kind), b"", False)
"""

SDCPP_EDIT = """
import sys, stable_diffusion_cpp as sd
from PIL import Image
model, photo, output = sys.argv[1:]
model = sd.StableDiffusion(model_path=model, n_threads=2, verbose=False)
settings = dict(width=64, height=64, sample_steps=2, sample_method="euler", seed=3, cfg_scale=3.0, image_cfg_scale=1.5)
model.generate_image("make it snowy", ref_images=[Image.open(photo).convert("RGB")], **settings)[0].save(output)
"""


def check_sdcpp(convert, folder, python, full):
    run = lambda script, *arguments: subprocess.run(
        [python, "-c", script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for name in [*DTYPES, *QUANTISED]:
        # What it makes of a GGUF file, in 32 bits, is what the package reads in it.
        back = folder / "back.safetensors"
        run(SDCPP_CONVERT, folder / f"{name}.gguf", back, gguf.GGMLQuantizationType.F32.value)
        found = load_file(back)
        tensors = gguf.GGUFReader(folder / f"{name}.gguf").tensors
        # It leaves the metadata of a safetensors file away, and biases and embeddings as they were.
        assert found.keys() == {tensor.name for tensor in tensors}
        for tensor in tensors:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            own = torch.from_numpy(numbers.astype(np.float32)).reshape(found[tensor.name].shape)
            assert torch.allclose(found[tensor.name].float(), own, rtol=0, atol=1e-6), f"{name}: {tensor.name}"
    # What it writes in blocks itself are the same blocks.
    theirs = folder / "theirs.gguf"
    run(SDCPP_CONVERT, folder / "f32.safetensors", theirs, gguf.GGMLQuantizationType.Q8_0.value)
    ours = {tensor.name: tensor for tensor in gguf.GGUFReader(folder / "q8_0.gguf").tensors}
    for tensor in gguf.GGUFReader(theirs).tensors:
        own = ours.pop(tensor.name)
        if own.tensor_type == gguf.GGMLQuantizationType.Q8_0:
            assert tensor.tensor_type == own.tensor_type and np.array_equal(tensor.data, own.data), tensor.name
    assert not ours
    print("stable-diffusion.cpp reads", ", ".join([*DTYPES, *QUANTISED]), "and writes the same blocks of q8_0")
    if full is None:
        return print("--full was not given: no edit of stable-diffusion.cpp")
    half, photo = folder / "full.safetensors", Path(__file__).parents[2] / "examples" / "photo.jpg"
    convert(full, half, "f16")
    pictures = {}
    for name in ["safetensors", "f16", "q8_0", "q4_0"]:
        model = half if name == "safetensors" else folder / f"full-{name}.gguf"
        if model != half:
            convert(half, model, name)
        run(SDCPP_EDIT, model, photo, folder / "edited.png")
        from PIL import Image

        pictures[name] = np.asarray(Image.open(folder / "edited.png")).astype(int)
        difference = np.abs(pictures[name] - pictures["safetensors"]).mean()
        print(f"an edit of stable-diffusion.cpp from {name}: {difference:.2f} of 255 from that of the f16 single file")
    assert np.array_equal(pictures["f16"], pictures["safetensors"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ip2p", type=Path)
    parser.add_argument("--sdcpp", metavar="PYTHON")
    parser.add_argument("--full", metavar="FOLDER", type=Path)
    arguments = parser.parse_args()

    def convert(model, output, precision):
        command = [arguments.ip2p.resolve(), "convert", model, output, "--precision", precision, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    original = StableDiffusionInstructPix2PixPipeline.from_pretrained(TINY)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        check_safetensors(convert, folder, original)
        check_xl(arguments.ip2p.resolve(), folder)
        check_gguf(convert, folder)
        check_gguf_in_diffusers(folder, original)
        if arguments.sdcpp is None:
            sys.exit("--sdcpp was not given: stable-diffusion.cpp is not checked")
        check_sdcpp(convert, folder, arguments.sdcpp, arguments.full)


if __name__ == "__main__":
    main()
