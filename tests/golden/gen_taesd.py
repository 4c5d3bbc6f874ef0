"""TAESD in the two files that its author gives it, and an edit of diffusers' pipeline with it.

Its networks are put together here as `taesd.py` of madebyollin/taesd does, so that the names of the weights are theirs.
"""

import torch
from diffusers import AutoencoderTiny
from gen_pipeline import REASON, diffusers_edit, load, photo, pixels
from golden import randomise, save
from torch import nn

CHANNELS = 4
ENCODER, DECODER = (1, 1, 2, 1), (2, 1, 1, 1)


def conv(n_in, n_out, **settings):
    return nn.Conv2d(n_in, n_out, 3, padding=1, **settings)


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


class Block(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Sequential(conv(n_in, n_out), nn.ReLU(), conv(n_out, n_out), nn.ReLU(), conv(n_out, n_out))
        self.skip = nn.Identity()

    def forward(self, x):
        return torch.relu(self.conv(x) + self.skip(x))


def encoder():
    layers = [conv(3, CHANNELS)]
    for level, count in enumerate(ENCODER):
        layers += [conv(CHANNELS, CHANNELS, stride=2, bias=False)] if level else []
        layers += [Block(CHANNELS, CHANNELS) for _ in range(count)]
    return nn.Sequential(*layers, conv(CHANNELS, 4))


def decoder():
    layers = [Clamp(), conv(4, CHANNELS), nn.ReLU()]
    for level, count in enumerate(DECODER):
        layers += [nn.Upsample(scale_factor=2), conv(CHANNELS, CHANNELS, bias=False)] if level else []
        layers += [Block(CHANNELS, CHANNELS) for _ in range(count)]
    return nn.Sequential(*layers, conv(CHANNELS, 3))


class Unscaled(AutoencoderTiny):
    """Encodes to latents as those that InstructPix2Pix is trained with, which are not times the scaling factor of the
    autoencoder that was there before, 0.18215, as a tiny autoencoder's are. diffusers' pipeline leaves that to its user."""

    def encode(self, x, return_dict=True):
        output = super().encode(x)
        output.latents = output.latents / 0.18215
        return output


@torch.no_grad()
def write(out):
    tiny = Unscaled(
        encoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=ENCODER,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_decoder_blocks=DECODER,
    )
    randomise(tiny, seed=31)
    halves = {"encoder": encoder(), "decoder": decoder()}
    for name, half in halves.items():
        # The same weights in the same order: what differs are the numbers of the layers.
        own = getattr(tiny, name).state_dict().values()
        half.load_state_dict(dict(zip(half.state_dict(), own, strict=True)))
        save(out / "single" / f"taesd_{name}.safetensors", half.state_dict(), 0.0, "weights, not compared")
    rgb = torch.rand((1, 3, 32, 24), generator=torch.Generator().manual_seed(32)) * 2 - 1
    encoded, latents = halves["encoder"]((rgb + 1) / 2), torch.randn(1, 4, 4, 3) * 3
    assert torch.allclose(AutoencoderTiny.encode(tiny, rgb).latents, encoded, atol=1e-6)
    assert torch.allclose(tiny.decode(latents).sample, halves["decoder"](latents) * 2 - 1, atol=1e-6)
    save(out / "single" / "taesd_diffusers.safetensors", tiny.state_dict(), 0.0, "the same numbers, by diffusers' names")

    pipeline = load(out / "tiny-ip2p")
    pipeline.vae = tiny
    source = photo(96, 64)
    tensors = diffusers_edit(pipeline, source) | {"photo": pixels(source)}
    settings = {"steps": "6", "seed": "7"}
    save(out / "pipeline" / "taesd-file.safetensors", tensors, 2e-4, REASON, tolerance_gpu=5e-3, **settings)
