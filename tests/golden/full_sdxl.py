#!/usr/bin/env python3
"""The full-size check of Stable Diffusion XL: the same edit in diffusers and in `ip2p`, with weights of random numbers.

    venv/bin/pip install -r tests/golden/requirements.txt
    cargo build --release
    venv/bin/python tests/golden/full_sdxl.py /somewhere/with/7/GB          # as sdxl-instructpix2pix-768
    venv/bin/python tests/golden/full_sdxl.py /somewhere/with/7/GB --cosxl  # as CosXL
    venv/bin/python tests/golden/full_sdxl.py /somewhere/with/7/GB --memory # the peak of an edit at 768×768 in bf16

The weights are stored in bf16 and computed with in f32 by both, for which each needs some 15 GB of memory. It takes some minutes, so it is
not part of CI; `docs/parity.md` has its numbers.
"""

import argparse
import json
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionXLInstructPix2PixPipeline, UNet2DConditionModel
from gen_sdxl import edm, scheduler
from gen_tiny import byte_alphabet
from golden import FIXTURES
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

ROOT = Path(__file__).parents[2]
MERGES = ROOT / "ip2p-io" / "src" / "checkpoint" / "single" / "clip_merges.txt"
INSTRUCTION = "make it snowy"
BLOCK = 1 << 20


def networks():
    """The architecture of diffusers/sdxl-instructpix2pix-768, without weights."""
    down, up = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    tokens = dict(vocab_size=49408, bos_token_id=49406)
    first = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, eos_token_id=49407, **tokens
    )
    second = CLIPTextConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=20,
        hidden_act="gelu",
        projection_dim=1280,
        eos_token_id=2,
        **tokens,
    )
    with torch.device("meta"):
        yield "text_encoder", CLIPTextModel(first)
        yield "text_encoder_2", CLIPTextModelWithProjection(second)
        yield "vae", AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=1024,
            scaling_factor=0.13025,
        )
        yield "unet", UNet2DConditionModel(
            sample_size=96,
            in_channels=8,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", down, down),
            up_block_types=(up, up, "UpBlock2D"),
            attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )


def write_weights(path, module, rng):
    """bf16 numbers a tensor at a time: the same block of random ones from another place, scaled as `golden.randomise` does."""
    block = torch.from_numpy(rng.standard_normal(BLOCK).astype(np.float32))
    parameters = dict(module.named_parameters())
    header, end = {}, 0
    for name, parameter in parameters.items():
        start, end = end, end + 2 * parameter.numel()
        header[name] = {"dtype": "BF16", "shape": list(parameter.shape), "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with open(path, "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for name, parameter in parameters.items():
            is_scale = "norm" in name and name.endswith("weight")
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
            numbers = torch.roll(block, int(rng.integers(BLOCK))) * scale + (1.0 if is_scale else 0.0)
            numbers = numbers.to(torch.bfloat16).view(torch.int16).numpy()
            for left in range(parameter.numel(), 0, -BLOCK):
                file.write(numbers[: min(left, BLOCK)].tobytes())


def write_tokenizer(folder, pad):
    """CLIP's own vocabulary."""
    folder.mkdir(parents=True)
    merges, alphabet = MERGES.read_text(encoding="utf-8").splitlines(), byte_alphabet()
    tokens = [*alphabet, *(symbol + "</w>" for symbol in alphabet), *(line.replace(" ", "") for line in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": pad}
    config = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps(config | special))


def make(folder):
    rng = np.random.default_rng(1)
    for name, module in networks():
        (folder / name).mkdir(parents=True)
        is_text = name.startswith("text")
        config = json.dumps(module.config.to_diff_dict()) if is_text else module.to_json_string()
        (folder / name / "config.json").write_text(config)
        stem = "model" if is_text else "diffusion_pytorch_model"
        write_weights(folder / name / f"{stem}.safetensors", module, rng)
    for name, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        write_tokenizer(folder / name, pad)
    shutil.copy(FIXTURES / "tiny-sdxl" / "model_index.json", folder)


def diffusers_edit(folder, own, photo, is_cosxl_edit):
    pipeline = StableDiffusionXLInstructPix2PixPipeline.from_pretrained(
        folder, torch_dtype=torch.bfloat16, add_watermarker=False, is_cosxl_edit=is_cosxl_edit
    )
    pipeline.scheduler = own
    # Computed in f32, and stored in what there is of it.
    pipeline.unet.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    for name, module in pipeline.unet.named_modules():
        if "norm" in name:
            module.float()
    for part in (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae):
        part.float()
    settings = dict(num_inference_steps=3, guidance_scale=3.0, image_guidance_scale=1.5, generator=torch.Generator().manual_seed(7))
    return pipeline(INSTRUCTION, image=photo, width=photo.width, height=photo.height, **settings).images[0]


def ip2p_edit(ip2p, folder, photo, output, *options):
    command = [ip2p, "edit", photo, INSTRUCTION, "--model", folder, "-o", output, "--seed", "7", "--json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ip2p", type=Path, default=ROOT / "target" / "release" / "ip2p")
    parser.add_argument("--cosxl", action="store_true")
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder / "sdxl-random"
    if not folder.exists():
        make(folder)
    own = edm() if arguments.cosxl else scheduler()
    own.save_pretrained(folder / "scheduler")
    source = Image.open(ROOT / "examples" / "photo.jpg").convert("RGB")
    photo, output = arguments.folder / "photo.png", arguments.folder / "ip2p.png"
    if arguments.memory:
        source.resize((768, 768), Image.LANCZOS).save(photo)
        done = ip2p_edit(arguments.ip2p, folder, photo, output, "--precision", "bf16", "--steps", "1", "--size", "768x768")
        print(f"peak memory {done['peak_memory_bytes'] / 1e9:.2f} GB, times {done['times']}")
        return
    source = source.resize((256, 256), Image.LANCZOS)
    source.save(photo)
    # In a process of its own, whose memory is free again before ours begins.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        expected = pool.submit(diffusers_edit, folder, own, source, arguments.cosxl).result()
    expected = np.array(expected).astype(int)
    options = ["--precision", "f32", "--compat", "diffusers", "--steps", "3", "--text-scale", "3", "--image-scale", "1.5"]
    ip2p_edit(arguments.ip2p, folder, photo, output, *options)
    difference = np.abs(expected - np.array(Image.open(output).convert("RGB")).astype(int))
    equal = 100 * (difference == 0).mean()
    print(f"{equal:.3f} % of the bytes equal, furthest {difference.max()}; standard deviation {expected.std():.0f}")


if __name__ == "__main__":
    main()
