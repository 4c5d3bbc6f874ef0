"""Every layer of two small U-Nets, one ordinary and one that is not, and of one on latents of odd size."""

import torch
from diffusers import UNet2DConditionModel
from golden import randomise, save

TOLERANCE = 1e-5
TOLERANCE_GPU = 1e-4
REASON = "f32 sums of up to 288 terms in another order, through 30 layers; 3e-6 seen"

CONFIGS = {
    # As InstructPix2Pix, but for its size.
    "conv": dict(
        in_channels=8,
        block_out_channels=(8, 8, 16),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=24,
        norm_num_groups=4,
    ),
    # Whatever else a config may say.
    "linear": dict(
        in_channels=5,
        out_channels=3,
        block_out_channels=(8, 12, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=(2, 1, 1),
        attention_head_dim=(2, 3, 4),
        transformer_layers_per_block=(1, 2, 1),
        only_cross_attention=(True, False, True),
        cross_attention_dim=12,
        norm_num_groups=4,
        norm_eps=1e-3,
        use_linear_projection=True,
        downsample_padding=0,
        mid_block_scale_factor=1.5,
        time_embedding_dim=20,
        flip_sin_to_cos=False,
        freq_shift=1,
        conv_in_kernel=5,
        conv_out_kernel=1,
        upcast_attention=True,
        act_fn="swish",
    ),
}


def observe(unet, x, timestep, context, module=None):
    """The inputs, and the output of each layer under the name of its weights; `module` holds the layers, if `unet` only calls it."""
    tensors = {"x": x, "timestep": timestep, "context": context}
    layers = ("time_embedding", "conv_in", "conv_out")
    lists = ("resnets", "attentions", "downsamplers", "upsamplers")

    def keep(name):
        def hook(_module, _inputs, output):
            # A transformer gives a tuple.
            tensors[name] = output[0] if isinstance(output, tuple) else output

        return hook

    for name, layer in (module or unet).named_modules():
        if name in layers or (name.split(".")[-2:-1] or [""])[0] in lists:
            layer.register_forward_hook(keep(name))
    unet(x, timestep, context)
    # Ours shows every layer as a picture.
    tensors["time_embedding"] = tensors["time_embedding"][:, :, None, None]
    return tensors


@torch.no_grad()
def write(out):
    generator = torch.Generator().manual_seed(31)
    randn = lambda *shape: torch.randn(shape, generator=generator)
    timestep = torch.tensor([999.0, 37.25])
    for name, weights, height, width in (("conv", "conv", 8, 8), ("linear", "linear", 12, 8), ("odd", "conv", 5, 7)):
        # A model each time, without the hooks of the one before.
        unet = randomise(UNet2DConditionModel(**CONFIGS[weights]), seed=32)
        config = unet.config
        inputs = (randn(2, config.in_channels, height, width), timestep, randn(2, 6, config.cross_attention_dim))
        tensors = observe(unet, *inputs)
        config = unet.to_json_string()  # as in a checkpoint
        save(out / "unet" / f"{name}.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=config)
        if name == weights:
            path = out / "unet" / f"{weights}_weights.safetensors"
            save(path, unet.state_dict(), 0, "weights, not compared")
