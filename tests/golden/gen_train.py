"""The loss of InstructPix2Pix and its gradients, as diffusers' training script computes them (train_instruct_pix2pix.py)."""

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from golden import FIXTURES, save
from transformers import CLIPTextModel

REASON = "f32 sums in another order, forwards and backwards"
# The first, the last and some between: a gradient that is right there has come through every layer.
UNET = [
    "conv_in.weight",
    "time_embedding.linear_1.weight",
    "down_blocks.0.resnets.0.norm1.weight",
    "down_blocks.0.downsamplers.0.conv.weight",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj.weight",
    "mid_block.attentions.0.transformer_blocks.0.norm2.bias",
    "mid_block.resnets.1.time_emb_proj.weight",
    "up_blocks.0.upsamplers.0.conv.weight",
    "up_blocks.2.resnets.1.conv_shortcut.weight",
    "conv_out.bias",
]
TEXT = ["embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.weight", "final_layer_norm.weight"]
GAMMA = 5.0


def weight(prediction, snr):
    """Min-SNR, eq. 5 of Hang et al. (2023); diffusers' train_text_to_image.py for epsilon and velocity."""
    clipped = torch.minimum(snr, torch.full_like(snr, GAMMA))
    return {"epsilon": clipped / snr, "v_prediction": clipped / (snr + 1), "sample": clipped}[prediction]


def write(out):
    folder = FIXTURES / "tiny-taesd"
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", variant="fp16").float()
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", variant="fp16").float()
    # diffusers loads in evaluation mode; nothing here has dropout.
    generator = torch.Generator().manual_seed(11)
    latents = torch.randn(3, 4, 16, 8, generator=generator)
    image_latents = torch.randn(3, 4, 16, 8, generator=generator)
    noise = torch.randn(3, 4, 16, 8, generator=generator)
    timesteps = torch.tensor([20, 471, 999])
    ids = torch.randint(0, 600, (3, 77), generator=generator)
    null_ids = torch.full((1, 77), 607)
    null_ids[0, 0] = 606
    # The first example loses its sentence, the second its picture.
    keeps_text, keeps_image = torch.tensor([False, True, True]), torch.tensor([True, False, True])

    for prediction in ["epsilon", "v_prediction", "sample"]:
        scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler", prediction_type=prediction)
        unet.zero_grad()
        text.zero_grad()
        context = text(torch.where(keeps_text[:, None], ids, null_ids)).last_hidden_state
        noisy = scheduler.add_noise(latents, noise, timesteps)
        x = torch.cat([noisy, image_latents * keeps_image[:, None, None, None]], 1)
        output = unet(x, timesteps, context).sample
        target = {
            "epsilon": noise,
            "v_prediction": scheduler.get_velocity(latents, noise, timesteps),
            "sample": latents,
        }[prediction]
        alphas = scheduler.alphas_cumprod[timesteps]
        weights = weight(prediction, alphas / (1 - alphas))
        loss = (torch.nn.functional.mse_loss(output, target, reduction="none").mean([1, 2, 3]) * weights).mean()
        loss.backward()
        unet_parameters, text_parameters = dict(unet.named_parameters()), dict(text.named_parameters())
        gradients = {f"unet.{name}": unet_parameters[name].grad for name in UNET}
        for name in TEXT:
            found = text_parameters.get(name, text_parameters.get(f"text_model.{name}"))
            gradients[f"text_encoder.text_model.{name}"] = found.grad
        save(
            out / "train" / f"{prediction}.safetensors",
            {
                "latents": latents,
                "image_latents": image_latents,
                "noise": noise,
                "timesteps": timesteps,
                "ids": ids,
                "null_ids": null_ids,
                "keeps_text": keeps_text.long(),
                "keeps_image": keeps_image.long(),
                "loss": loss.reshape(1),
                **gradients,
            },
            tolerance=1e-4,
            reason=REASON,
            gamma=repr(GAMMA),
        )
