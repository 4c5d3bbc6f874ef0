#!/usr/bin/env python3
"""The full-size check: the same edit in diffusers and in `ip2p`, on a Stable Diffusion 1.5 InstructPix2Pix of random weights.

    venv/bin/pip install -r tests/golden/requirements.txt open_clip_torch
    cargo build --release
    venv/bin/python tests/golden/full.py /somewhere/with/5/GB            # makes the checkpoint once, then compares
    venv/bin/python tests/golden/full.py /somewhere/with/5/GB --time     # a guided step of each, in turn, and peak memory

It takes half an hour on two cores, so it is not part of CI; `docs/parity.md` has its numbers.
"""

import argparse
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from golden import randomise
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

INSTRUCTION = "make it snowy, and turn the car red"
SAMPLERS = {
    "euler-a": lambda config: EulerAncestralDiscreteScheduler.from_config(config),
    "ddim": lambda config: DDIMScheduler.from_config(config, clip_sample=False, set_alpha_to_one=False),
    "dpmpp-2m": lambda config: DPMSolverMultistepScheduler.from_config(config),
}


def write_tokenizer(folder):
    """CLIP's own vocabulary, which the package open_clip_torch ships."""
    package = Path(importlib.util.find_spec("open_clip").origin).parent
    lines = gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8").read().split("\n")
    merges = lines[1 : 49152 - 256 - 2 + 1]
    from gen_tiny import byte_alphabet

    alphabet = byte_alphabet()
    tokens = [*alphabet, *(symbol + "</w>" for symbol in alphabet), *("".join(line.split()) for line in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def make(folder):
    """The architecture of timbrooks/instruct-pix2pix, weights drawn from seeds."""
    write_tokenizer(folder / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        hidden_act="quick_gelu",
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    unet = UNet2DConditionModel(
        sample_size=64, in_channels=8, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        sample_size=512,
    )
    scheduler = EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=randomise(vae, seed=2),
        text_encoder=randomise(CLIPTextModel(text), seed=1),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=randomise(unet, seed=3),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    # transformers 5 writes `tokenizer.json` alone.
    write_tokenizer(folder / "tokenizer")


def photo(width, height):
    """A picture with smooth and sharp parts, the same on every machine."""
    y, x = np.mgrid[0:height, 0:width] / 64.0
    channels = [np.sin(x + 0.3 * i) * np.cos(y * (1 + 0.2 * i)) for i in range(3)]
    noise = np.random.RandomState(0).uniform(-0.15, 0.15, (height, width, 3))
    picture = 0.5 + 0.35 * np.stack(channels, -1) + noise
    picture[height // 4 : height // 2, width // 3 : width // 2] = [0.9, 0.2, 0.1]
    return Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))


def ours(ip2p, folder, source, output, sampler, steps, *more):
    command = [ip2p, "edit", source, INSTRUCTION, "-o", output, "--model", folder, "--sampler", sampler, "--steps", steps]
    command += ["--seed", "0", "--compat", "diffusers", "--precision", "f32", "--json", *more]
    result = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE)
    return json.loads(result.stdout)


def compare(pipeline, ip2p, folder, steps):
    config = pipeline.scheduler.config
    worst_share, worst_step = 1.0, 0
    for width, height in [(256, 256), (512, 320)]:
        source = folder / f"photo-{width}x{height}.png"
        photo(width, height).save(source)
        for name, scheduler in SAMPLERS.items():
            pipeline.scheduler = scheduler(config)
            generator = torch.Generator().manual_seed(0)
            image = Image.open(source).convert("RGB")
            theirs = pipeline(INSTRUCTION, image=image, num_inference_steps=steps, generator=generator).images[0]
            theirs.save(folder / f"diffusers-{name}-{width}x{height}.png")
            output = folder / f"ip2p-{name}-{width}x{height}.png"
            ours(ip2p, folder, source, output, name, steps)
            a, b = (np.asarray(picture).astype(int) for picture in (theirs, Image.open(output).convert("RGB")))
            assert a.shape == b.shape, (a.shape, b.shape)
            difference = np.abs(a - b)
            share, furthest = (difference <= 1).mean(), difference.max()
            worst_share, worst_step = min(worst_share, share), max(worst_step, furthest)
            exact = (difference == 0).mean()
            print(
                f"{name:9} {width}x{height} {steps} steps: equal {exact:.4%}, within 1 {share:.4%}, furthest {furthest}, "
                f"contrast {a.std():.0f}",
                flush=True,
            )
    return worst_share >= 0.999 and worst_step <= 3


def timing(pipeline, ip2p, folder, rounds=3):
    """A guided step at 512x512, diffusers' and ours in turn, and the ratio of each pair."""
    source = folder / "photo-512x512.png"
    photo(512, 512).save(source)
    image = Image.open(source).convert("RGB")
    torch.set_num_threads(os.cpu_count())
    pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(pipeline.scheduler.config)
    for _ in range(rounds):
        times = []
        pipeline(
            INSTRUCTION,
            image=image,
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(0),
            callback_on_step_end=lambda pipe, i, t, kwargs: times.append(time.perf_counter()) or {},
        )
        theirs = min(b - a for a, b in zip(times, times[1:]))
        report = ours(ip2p, folder, source, folder / "timed.png", "euler-a", 3)
        mine = min(report["times"]["steps_s"][1:])
        peak = report["peak_memory_bytes"] / 1e9
        print(f"guided step 512x512: diffusers {theirs:.2f} s, ip2p {mine:.2f} s, ratio {mine / theirs:.3f}, peak {peak:.2f} GB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ip2p", default=Path(__file__).parents[2] / "target/release/ip2p", type=Path)
    parser.add_argument("--steps", default=10, type=int)
    parser.add_argument("--time", action="store_true", help="time a guided step instead of comparing pictures")
    arguments = parser.parse_args()
    if not (arguments.folder / "model_index.json").exists():
        make(arguments.folder)
    if not arguments.ip2p.exists():
        sys.exit(f"{arguments.ip2p} is missing: cargo build --release")
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(arguments.folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    if arguments.time:
        timing(pipeline, arguments.ip2p, arguments.folder)
    elif not compare(pipeline, arguments.ip2p, arguments.folder, arguments.steps):
        sys.exit("too far: 99.9 % within 1 and none further than 3 were asked for")


if __name__ == "__main__":
    main()
