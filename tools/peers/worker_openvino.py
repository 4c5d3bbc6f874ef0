"""OpenVINO: the same two networks, converted once for a fixed size."""

from pathlib import Path

import numpy as np
import openvino
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from measure import CONTEXT, best, report, settings


class UNet(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()

    def forward(self, x, timestep, context):
        return self.unet(x, timestep, context).sample


class Decoder(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.vae = AutoencoderKL.from_pretrained(folder, subfolder="vae").eval()

    def forward(self, latents):
        return self.vae.decode(latents).sample


def compiled(path, network, inputs, wanted):
    if not path.exists():
        with torch.no_grad():
            tensors = tuple(torch.from_numpy(value) for value in inputs)
            converted = openvino.convert_model(network(), example_input=tensors, input=[value.shape for value in inputs])
        openvino.save_model(converted, path, compress_to_fp16=False)
    config = {"INFERENCE_PRECISION_HINT": wanted["precision"], "INFERENCE_NUM_THREADS": int(wanted["threads"])}
    return openvino.Core().compile_model(path, "CPU", config | {"PERFORMANCE_HINT": "LATENCY"})


def main():
    wanted = settings()
    folder, side = Path(wanted["folder"]), wanted["size"] // 8
    stored = folder / f"openvino-{wanted['size']}"
    stored.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    inputs = [normal(3, 8, side, side), np.full(3, 500, np.float32), normal(*CONTEXT)]
    unet = compiled(stored / "unet.xml", lambda: UNet(folder), inputs, wanted)
    step = best(lambda: unet(inputs), int(wanted["steps"]) - 1)
    del unet
    latents = [normal(1, 4, side, side)]
    decoder = compiled(stored / "decoder.xml", lambda: Decoder(folder), latents, wanted)
    report(step_s=step, decode_s=best(lambda: decoder(latents), 1))


main()
