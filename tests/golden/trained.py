#!/usr/bin/env python3
"""What `ip2p train` wrote, in diffusers: does it load, and give the picture that `ip2p edit --compat diffusers` gives?

    cargo build --release
    venv/bin/python tests/golden/trained.py runs/mine/model examples/photo.jpg

    venv/bin/python tests/golden/trained.py runs/mine/model examples/photo.jpg --lora instruct-pix2pix

The checkpoint may be of any shape; the picture's sides must be multiples of what its networks ask for. With `--lora`, diffusers
opens the checkpoint that a low-rank adaptation began with, and the factors that lie beside `model`.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from full import INSTRUCTION, SAMPLERS, ours
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from safetensors import safe_open

STEPS = 5
TEXT_SCALE, IMAGE_SCALE = 3.0, 1.5


def check_factors(pipeline, path):
    """Every factor of the file is in a network, with the scale that the file says."""
    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        settings = json.loads(file.metadata()["lora_adapter_metadata"])
    networks = [pipeline.unet, pipeline.text_encoder]
    modules = [module for network in networks for module in network.modules()]
    adapted = [module for module in modules if isinstance(module, BaseTunerLayer)]
    assert 2 * len(adapted) == len(keys), (len(adapted), len(keys))
    scale = settings["unet.lora_alpha"] / settings["unet.r"]
    assert {module.scaling["default_0"] for module in adapted} == {scale}
    print(f"{len(adapted)} layers adapted, the products counted {scale:g} times")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--lora", metavar="BASE", type=Path, help="the checkpoint that the adaptation began with")
    parser.add_argument("--ip2p", default=Path(__file__).parents[2] / "target/release/ip2p", type=Path)
    arguments = parser.parse_args()
    if arguments.lora:
        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(arguments.lora, dtype=torch.float32)
        pipeline.load_lora_weights(arguments.folder.parent)
        check_factors(pipeline, arguments.folder.parent / "pytorch_lora_weights.safetensors")
    else:
        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            arguments.folder, variant="fp16", dtype=torch.float32
        )
    config = pipeline.scheduler.config
    good = True
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "photo.png", Path(folder) / "edited.png"
        image = Image.open(arguments.photo).convert("RGB").resize((128, 128), Image.LANCZOS)
        image.save(source)
        for name, scheduler in SAMPLERS.items():
            pipeline.scheduler = scheduler(config)
            theirs = pipeline(
                INSTRUCTION,
                image=image,
                num_inference_steps=STEPS,
                guidance_scale=TEXT_SCALE,
                image_guidance_scale=IMAGE_SCALE,
                generator=torch.Generator().manual_seed(0),
            ).images[0]
            scales = ["--text-scale", TEXT_SCALE, "--image-scale", IMAGE_SCALE]
            ours(arguments.ip2p, arguments.folder, source, output, name, STEPS, *scales)
            a, b = (np.asarray(picture).astype(int) for picture in (theirs, Image.open(output).convert("RGB")))
            difference = np.abs(a - b)
            share, furthest = (difference <= 1).mean(), difference.max()
            print(f"{name:9} {STEPS} steps: within 1 {share:.4%}, furthest {furthest}, contrast {a.std():.0f}", flush=True)
            good = good and share >= 0.999 and furthest <= 3
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
