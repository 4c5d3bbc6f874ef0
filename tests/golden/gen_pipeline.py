"""Whole edits with the tiny checkpoint: diffusers' pipeline, and the original repository's loop."""

import math

import k_diffusion.external
import k_diffusion.sampling
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from golden import save
from PIL import Image, ImageOps

INSTRUCTION = "make it snowy"
SCHEDULERS = {
    "euler-a": lambda config: EulerAncestralDiscreteScheduler.from_config(config),
    "euler": lambda config: EulerDiscreteScheduler.from_config(config),
    "heun": lambda config: HeunDiscreteScheduler.from_config(config),
    "ddim": lambda config: DDIMScheduler.from_config(config, clip_sample=False, set_alpha_to_one=False),
    "dpmpp-2m": lambda config: DPMSolverMultistepScheduler.from_config(config),
    "dpmpp-2m-sde": lambda config: DPMSolverMultistepScheduler.from_config(config, algorithm_type="sde-dpmsolver++"),
    "unipc": lambda config: UniPCMultistepScheduler.from_config(config),
    "lcm": lambda config: LCMScheduler.from_config(config),
    "tcd": lambda config: TCDScheduler.from_config(config),
}
# The pipeline has an eta of its own, 0; TCD is used with this one.
ETA = {"tcd": 0.3}
REASON = "f32 sums in another order, grown by the steps of a random network; pictures are compared by share of values"


def photo(width, height):
    y, x = np.mgrid[0:height, 0:width] / 16.0
    picture = 0.5 + 0.4 * np.stack([np.sin(x + i) * np.cos(y * (1 + 0.3 * i)) for i in range(3)], -1)
    picture[height // 4 : height // 2, width // 3 : width // 2] = [0.9, 0.2, 0.1]
    return Image.fromarray((picture * 255).astype(np.uint8))


def pixels(picture):
    return torch.from_numpy(np.array(picture))


def diffusers_edit(pipeline, source, sampler="euler-a", steps=6, seed=7, **settings):
    pipeline.scheduler = SCHEDULERS[sampler](pipeline.scheduler.config)
    trajectory = []

    def record(pipe, i, t, kwargs):
        trajectory.append(kwargs["latents"].clone())
        return {}

    images = pipeline(
        INSTRUCTION,
        image=source,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        callback_on_step_end=record,
        eta=ETA.get(sampler, 0.0),
        **settings,
    ).images
    tensors = {f"latents.{i}": latents for i, latents in enumerate(trajectory)}
    return tensors | {f"output.{i}": pixels(image) for i, image in enumerate(images)}


def write_diffusers(out, pipeline):
    cases = {sampler: dict(sampler=sampler) for sampler in SCHEDULERS}
    cases |= {
        # Not a multiple of 8, and scales at which diffusers turns guidance off.
        "odd-size": dict(size=(101, 77)),
        "no-guidance": dict(guidance_scale=1.0),
        "negative": dict(negative_prompt="a red car", guidance_scale=3.0, image_guidance_scale=1.2),
        "two-images": dict(num_images_per_prompt=2, sampler="euler-a"),
    }
    config = pipeline.scheduler.config
    for name, case in cases.items():
        source = photo(*case.pop("size", (96, 64)))
        pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(config)
        tensors = diffusers_edit(pipeline, source, **case) | {"photo": pixels(source)}
        settings = {key: str(value) for key, value in {"steps": 6, "seed": 7, **case}.items()}
        save(out / "pipeline" / f"diffusers-{name}.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)


def original_edit(pipeline, source, resolution=64, steps=6, seed=7, text_scale=7.5, image_scale=1.5):
    """`edit_cli.py` at 0dffd1e, on the CPU and in f32, with the networks of a diffusers pipeline."""
    width, height = source.size
    factor = resolution / max(width, height)
    factor = math.ceil(min(width, height) * factor / 64) * 64 / min(width, height)
    width = int((width * factor) // 64) * 64
    height = int((height * factor) // 64) * 64
    fitted = ImageOps.fit(source, (width, height), method=Image.Resampling.LANCZOS)

    def encode_text(text):
        ids = pipeline.tokenizer([text], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        return pipeline.text_encoder(ids.input_ids)[0]

    cond, uncond = encode_text(INSTRUCTION), encode_text("")
    image = 2 * torch.tensor(np.array(fitted)).float() / 255 - 1
    image = image.permute(2, 0, 1)[None]
    image_latents = pipeline.vae.encode(image).latent_dist.mode()

    def network(x, t):
        contexts = torch.cat([cond, uncond, uncond])
        concat = torch.cat([image_latents, image_latents, torch.zeros_like(image_latents)])
        return pipeline.unet(torch.cat([x, concat], 1), t, contexts, return_dict=False)[0]

    class Denoiser(k_diffusion.external.DiscreteEpsDDPMDenoiser):
        def get_eps(self, *args, **kwargs):
            return self.inner_model(*args, **kwargs)

    wrap = Denoiser(network, pipeline.scheduler.alphas_cumprod, quantize=False)

    def guided(x, sigma):
        text, image_only, neither = wrap(x.repeat(3, 1, 1, 1), sigma.repeat(3)).chunk(3)
        return neither + text_scale * (text - image_only) + image_scale * (image_only - neither)

    sigmas = wrap.get_sigmas(steps)
    torch.manual_seed(seed)
    z = torch.randn_like(image_latents) * sigmas[0]
    trajectory = {}
    record = lambda info: trajectory.update({f"x.{info['i']}": info["x"].clone()})
    z = k_diffusion.sampling.sample_euler_ancestral(guided, z, sigmas, callback=record, disable=True)
    decoded = pipeline.vae.decode(z / 0.18215).sample
    x = torch.clamp((decoded + 1.0) / 2.0, min=0.0, max=1.0)
    x = (255.0 * x[0].permute(1, 2, 0)).type(torch.uint8)
    intermediates = {"context": cond, "image_latents": image_latents, "sigmas": sigmas, "latents": z, **trajectory}
    return intermediates | {"fitted": pixels(fitted), "output.0": x}


def write_original(out, pipeline):
    for name, size in {"wide": (150, 90), "small": (40, 61)}.items():
        source = photo(*size)
        tensors = original_edit(pipeline, source) | {"photo": pixels(source)}
        settings = {"steps": "6", "seed": "7", "resolution": "64"}
        save(out / "pipeline" / f"original-{name}.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)


def write_taesd(out, pipeline):
    """Another autoencoder, another prediction: of the last size, the latents have odd sides."""
    config = pipeline.scheduler.config
    for name, (sampler, size) in {
        "euler-a": ("euler-a", (96, 64)),
        "ddim": ("ddim", (64, 80)),
        "odd-size": ("dpmpp-2m", (101, 77)),
    }.items():
        source = photo(*size)
        pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(config)
        tensors = diffusers_edit(pipeline, source, sampler) | {"photo": pixels(source)}
        settings = {"steps": "6", "seed": "7", "sampler": sampler}
        save(out / "pipeline" / f"taesd-{name}.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)


def strength_edit(pipeline, source, sampler, strength, steps=6, seed=7, text_scale=7.5, image_scale=1.5):
    """diffusers' image-to-image, with the network input and the guidance of its InstructPix2Pix pipeline."""
    scheduler = SCHEDULERS[sampler](pipeline.scheduler.config)
    pipeline.scheduler = scheduler
    generator = torch.Generator().manual_seed(seed)
    scheduler.set_timesteps(steps)
    timesteps, _ = StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, strength, "cpu")
    # In the order of the pipeline: with the sentence, with the photo alone, with neither.
    contexts = pipeline._encode_prompt(INSTRUCTION, "cpu", 1, True)
    pixel_values = pipeline.image_processor.preprocess(source)
    image_latents = pipeline.vae.encode(pixel_values).latent_dist.mode()
    scaled = image_latents * pipeline.vae.config.scaling_factor
    noise = torch.randn(scaled.shape, generator=generator)
    latents = scheduler.add_noise(scaled, noise, timesteps[:1])
    extra = pipeline.prepare_extra_step_kwargs(generator, ETA.get(sampler, 0.0))
    concat = torch.cat([image_latents, image_latents, torch.zeros_like(image_latents)])
    tensors = {"latents.start": latents}
    for i, t in enumerate(timesteps):
        scaled_input = scheduler.scale_model_input(torch.cat([latents] * 3), t)
        outputs = pipeline.unet(torch.cat([scaled_input, concat], 1), t, contexts, return_dict=False)[0]
        text, image, neither = outputs.chunk(3)
        guided = neither + text_scale * (text - image) + image_scale * (image - neither)
        latents = scheduler.step(guided, t, latents, **extra, return_dict=False)[0]
        tensors[f"latents.{i}"] = latents
    decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return tensors | {"output.0": pixels(pipeline.image_processor.postprocess(decoded)[0])}


def write_strength(out, pipeline):
    config = pipeline.scheduler.config
    for sampler in SCHEDULERS:
        for strength in [0.6] if sampler != "euler-a" else [0.6, 1.0]:
            source = photo(96, 64)
            pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(config)
            tensors = strength_edit(pipeline, source, sampler, strength)
            tensors |= {"photo": pixels(source)}
            settings = {"steps": "6", "seed": "7", "sampler": sampler, "strength": str(strength)}
            name = f"strength-{sampler}" if strength < 1 else f"strength-{sampler}-whole"
            save(out / "pipeline" / f"{name}.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)


def load(folder, **settings):
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, safety_checker=None, **settings)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write(out):
    pipeline = load(out / "tiny-ip2p")
    taesd = load(out / "tiny-taesd", variant="fp16", torch_dtype=torch.float32)
    with torch.no_grad():
        write_diffusers(out, pipeline)
        write_strength(out, pipeline)
        write_original(out, pipeline)
        write_taesd(out, taesd)
