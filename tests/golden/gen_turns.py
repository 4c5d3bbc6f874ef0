"""Two edits in turn with the tiny checkpoint, from latents to latents, by the original repository's loop."""

import k_diffusion.external
import k_diffusion.sampling
import torch
from gen_pipeline import INSTRUCTION, load, photo, pixels
from golden import save

REASON = "f32 sums in another order, grown by the steps of a random network"
SECOND = "turn it red"
STEPS, SEEDS = 6, (7, 8)


class Denoiser(k_diffusion.external.DiscreteEpsDDPMDenoiser):
    def get_eps(self, *args, **kwargs):
        return self.inner_model(*args, **kwargs)


def turn(pipeline, image_latents, sentence, seed, text_scale=7.5, image_scale=1.5):
    """The loop of `edit_cli.py` at 0dffd1e, without the autoencoder around it."""

    def encode(text):
        ids = pipeline.tokenizer([text], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        return pipeline.text_encoder(ids.input_ids)[0]

    cond, uncond = encode(sentence), encode("")
    contexts = torch.cat([cond, uncond, uncond])
    concat = torch.cat([image_latents, image_latents, torch.zeros_like(image_latents)])
    network = lambda x, t: pipeline.unet(torch.cat([x, concat], 1), t, contexts, return_dict=False)[0]
    wrap = Denoiser(network, pipeline.scheduler.alphas_cumprod, quantize=False)

    def guided(x, sigma):
        text, image, neither = wrap(x.repeat(3, 1, 1, 1), sigma.repeat(3)).chunk(3)
        return neither + text_scale * (text - image) + image_scale * (image - neither)

    sigmas = wrap.get_sigmas(STEPS)
    torch.manual_seed(seed)
    latents = torch.randn_like(image_latents) * sigmas[0]
    return k_diffusion.sampling.sample_euler_ancestral(guided, latents, sigmas, disable=True)


def write(out):
    pipeline = load(out / "tiny-ip2p")
    source = photo(64, 48)
    with torch.no_grad():
        encoded = pipeline.vae.encode(pipeline.image_processor.preprocess(source))
        # `randn_like` draws in the order of the memory.
        image_latents = encoded.latent_dist.mode().contiguous()
        first = turn(pipeline, image_latents, INSTRUCTION, SEEDS[0])
        # What a turn leaves is the next one's photo, unscaled as the autoencoder's mode is: no picture in between.
        second = turn(pipeline, first / pipeline.vae.config.scaling_factor, SECOND, SEEDS[1])
    tensors = {"photo": pixels(source), "turn.0": first, "turn.1": second}
    settings = {"steps": str(STEPS), "seed": str(SEEDS[0]), "second": SECOND}
    save(out / "pipeline" / "turns.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)
