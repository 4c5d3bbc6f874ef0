#!/usr/bin/env python3
"""What `ip2p train` wrote, in diffusers: does it load, and give the picture that `ip2p edit --compat diffusers` gives?

    cargo build --release
    venv/bin/python tests/golden/trained.py runs/mine/model examples/photo.jpg

The checkpoint may be of any shape; the picture's sides must be multiples of what its networks ask for.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from full import INSTRUCTION, SAMPLERS, ours
from PIL import Image

STEPS = 5
TEXT_SCALE, IMAGE_SCALE = 3.0, 1.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--ip2p", default=Path(__file__).parents[2] / "target/release/ip2p", type=Path)
    arguments = parser.parse_args()
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        arguments.folder, variant="fp16", dtype=torch.float32, safety_checker=None, requires_safety_checker=False
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
