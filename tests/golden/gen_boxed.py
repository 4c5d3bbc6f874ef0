"""Edits with the model that comes with ip2p, by diffusers' pipeline: `make.py boxed` after its weights change."""

from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from gen_pipeline import SCHEDULERS, pixels
from golden import save
from PIL import Image

ROOT = Path(__file__).parents[2]
EDITS = {"snow": "make it snowy", "night": "make it night"}
REASON = "f32 sums in another order; pictures are compared by share of values"


def write(out):
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        ROOT / "ip2p-tiny/model", variant="fp16", dtype=torch.float32
    )
    pipeline.scheduler = SCHEDULERS["euler"](pipeline.scheduler.config)
    photo = Image.open(ROOT / "examples/photo.jpg").convert("RGB")
    photo.thumbnail((96, 96), Image.Resampling.LANCZOS)
    photo = photo.crop((0, 0, photo.width // 32 * 32, photo.height // 32 * 32))
    settings = dict(num_inference_steps=4, guidance_scale=2.0, image_guidance_scale=1.0)
    for name, instruction in EDITS.items():
        edited = pipeline(instruction, image=photo, generator=torch.Generator().manual_seed(3), **settings).images[0]
        tensors = {"photo": pixels(photo), "output.0": pixels(edited)}
        metadata = {"instruction": instruction, "steps": "4", "seed": "3", "text_scale": "2", "image_scale": "1"}
        save(out / "boxed" / f"{name}.safetensors", tensors, 2e-4, REASON, **metadata)
