"""Where a sentence acts: the relevance map of Watch Your Steps, and Attention-Scoped Guidance, with the tiny checkpoints."""

import numpy as np
import torch
from gen_pipeline import INSTRUCTION, SCHEDULERS, load, photo, pixels
from golden import save

SEED = 7
REASON = "f32 sums in another order"


def contexts_of(pipeline):
    """With the sentence, and without."""

    def encode(text):
        ids = pipeline.tokenizer([text], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        return pipeline.text_encoder(ids.input_ids)[0]

    return encode(INSTRUCTION), encode("")


def image_latents_of(pipeline, source):
    encoded = pipeline.vae.encode(pipeline.image_processor.preprocess(source))
    return encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents


def relevance(pipeline, source):
    """`images-2d/wys_2d.py` of SamsungLabs/WatchYourSteps at 393fc2b, with the mode of the autoencoder, not a sample.

    The noise is that of the edit of the seed whose bits are turned around, so that the edit's own stays what it is.
    """
    # That of the original; those of Euler have latents of another scale.
    scheduler, config = SCHEDULERS["ddim"](pipeline.scheduler.config), pipeline.vae.config
    image_latents = image_latents_of(pipeline, source)
    latents = image_latents * config.scaling_factor
    timestep = torch.tensor([int(0.8 * 1000)])
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2**64 - 1 - SEED))
    noisy = scheduler.add_noise(latents, noise, timestep)
    cond, uncond = contexts_of(pipeline)
    network = lambda context: pipeline.unet(torch.cat([noisy, image_latents], 1), timestep, context).sample
    difference = network(cond) - network(uncond)
    if scheduler.config.prediction_type == "v_prediction":
        # The noise follows from a velocity by the square root of what is left of the picture.
        difference = difference * scheduler.alphas_cumprod[timestep].sqrt()
    return difference.abs().sum(1)[0]


def published_mask(values, threshold=0.5):
    """Outliers cut off at the quartiles, what is left stretched to 0..1, and at least the threshold."""
    q1, q3 = (np.percentile(values.numpy(), share, method="midpoint") for share in (25, 75))
    clipped = values.clip(0, float(q3 + 1.5 * (q3 - q1)))
    stretched = (clipped - clipped.min()) / (clipped.max() - clipped.min())
    return stretched, (stretched >= threshold).to(torch.uint8)


def write_relevance(out, name, pipeline):
    source = photo(96, 64)
    values = relevance(pipeline, source)
    stretched, mask = published_mask(values)
    tensors = {"photo": pixels(source), "relevance": values, "stretched": stretched, "mask": mask}
    save(out / "where" / f"relevance-{name}.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, seed=str(SEED))


class Watched:
    """The attention of each place to the sentence's words: the mean over the heads and over the layers of half the latents' size."""

    def __init__(self, pipeline):
        ids = pipeline.tokenizer([INSTRUCTION]).input_ids[0]
        self.words = slice(1, len(ids) - 1)
        self.seen = []
        levels = len(pipeline.unet.down_blocks)
        for block in [pipeline.unet.down_blocks[1], pipeline.unet.up_blocks[levels - 2]]:
            for name, layer in block.named_modules():
                if name.endswith("attn2"):
                    layer.register_forward_hook(self.see, with_kwargs=True)

    def see(self, layer, args, kwargs, _):
        # The first of the batch is that with the sentence.
        x, context = args[0][:1], kwargs["encoder_hidden_states"][:1]
        split = lambda y: y.unflatten(2, (layer.heads, -1)).transpose(1, 2)
        q, k = split(layer.to_q(x)), split(layer.to_k(context))
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
        self.seen.append(weights[..., self.words].sum(-1).mean(1))

    def take(self, height, width):
        seen, self.seen = torch.stack(self.seen).mean(0), []
        return seen.reshape(1, 1, height, width)


def scoped_edit(pipeline, source, steps=6, text_scale=7.5, image_scale=1.5, text_outside=0.0, image_inside=3.0):
    """Attention-Scoped Guidance, arXiv 2609.37492: both scales are maps of the attention to the sentence."""
    watched = Watched(pipeline)
    scheduler = SCHEDULERS["ddim"](pipeline.scheduler.config)
    scheduler.set_timesteps(steps)
    image_latents = image_latents_of(pipeline, source)
    generator = torch.Generator().manual_seed(SEED)
    latents = torch.randn(image_latents.shape, generator=generator) * scheduler.init_noise_sigma
    cond, uncond = contexts_of(pipeline)
    contexts = torch.cat([cond, uncond, uncond])
    concat = torch.cat([image_latents, image_latents, torch.zeros_like(image_latents)])
    height, width = latents.shape[2:]
    attention, tensors = 0, {}
    for i, t in enumerate(scheduler.timesteps):
        outputs = pipeline.unet(torch.cat([torch.cat([latents] * 3), concat], 1), t, contexts).sample
        text, image, neither = outputs.chunk(3)
        seen = watched.take(-(-height // 2), -(-width // 2))
        attention = attention + (seen if i < 10 else 0)
        low, high = attention.min(), attention.max()
        scope = torch.sigmoid(10 * ((attention - low) / (high - low + 1e-6) - 0.5))
        assert high / attention.mean() >= 1.5, "it would be passed by"
        scope = torch.nn.functional.interpolate(scope, size=(height, width), mode="bilinear", align_corners=False)
        text_scales = text_outside + (text_scale - text_outside) * scope
        image_scales = image_scale + (image_inside - image_scale) * scope
        guided = neither + text_scales * (text - image) + image_scales * (image - neither)
        latents = scheduler.step(guided, t, latents, return_dict=False)[0]
    tensors[f"latents.{steps - 1}"] = latents
    decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    tensors |= {"attention": attention, "scope": scope}
    return tensors | {"output.0": pixels(pipeline.image_processor.postprocess(decoded)[0])}


def write_scoped(out, pipeline):
    source = photo(96, 64)
    tensors = scoped_edit(pipeline, source) | {"photo": pixels(source)}
    settings = {"steps": "6", "seed": str(SEED), "sampler": "ddim"}
    save(out / "where" / "attention.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)


def write(out):
    pipeline = load(out / "tiny-ip2p")
    taesd = load(out / "tiny-taesd", variant="fp16", torch_dtype=torch.float32)
    with torch.no_grad():
        write_relevance(out, "ip2p", pipeline)
        write_relevance(out, "taesd", taesd)
        write_scoped(out, taesd)
