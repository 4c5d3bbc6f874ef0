"""diffusers: the U-Net on three branches, as one batch, and the decoder."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from measure import CONTEXT, best, report, settings


@torch.no_grad()
def main():
    wanted = settings()
    torch.set_num_threads(int(wanted["threads"]))
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[wanted["precision"]]
    folder, side = Path(wanted["folder"]), wanted["size"] // 8
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=dtype).eval()
    x, context = torch.randn(3, 8, side, side, dtype=dtype), torch.randn(CONTEXT, dtype=dtype)
    step = best(lambda: unet(x, 500, context), int(wanted["steps"]) - 1)
    del unet
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=dtype).eval()
    latents = torch.randn(1, 4, side, side, dtype=dtype)
    report(step_s=step, decode_s=best(lambda: vae.decode(latents), 1))


main()
