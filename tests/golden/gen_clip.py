"""The hidden states of a tiny CLIP text model, with either activation."""

import json

import torch
from golden import randomise, save
from transformers import CLIPTextConfig, CLIPTextModel

VOCABULARY = 64
TOLERANCE = 1e-5
# GPUs fuse a product with a sum, and approximate exponentials and square roots.
TOLERANCE_GPU = 1e-4
REASON = "f32 sums of up to 48 terms in another order, through 2 layers; 3.5e-7 seen with flex"


def model(hidden_act):
    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=77,
        hidden_act=hidden_act,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1,
    )
    # The same weights for both activations.
    return randomise(CLIPTextModel(config), seed=11)


def sentences():
    """Two sentences as the tokenizer pads them: a begin, some tokens, ends up to 77."""
    generator = torch.Generator().manual_seed(12)
    ids = torch.full((2, 77), VOCABULARY - 1)
    ids[:, 0] = VOCABULARY - 2
    for row, length in zip(ids, (5, 70)):
        row[1 : 1 + length] = torch.randint(0, VOCABULARY - 2, (length,), generator=generator)
    return ids


def hub_names(state_dict):
    """The names that every file on the hub has; transformers 5 drops the first part."""
    return {name if name.startswith("text_model.") else f"text_model.{name}": x for name, x in state_dict.items()}


@torch.no_grad()
def write(out):
    ids = sentences()
    for hidden_act in ("quick_gelu", "gelu"):
        clip = model(hidden_act)
        states = clip(ids, output_hidden_states=True)
        # transformers' list ends before the final layer norm.
        *hidden, last = (*states.hidden_states[:3], states.last_hidden_state)
        tensors = {f"hidden_states.{i}": x for i, x in enumerate(hidden)} | {"last_hidden_state": last, "ids": ids}
        config = json.dumps(clip.config.to_diff_dict())
        save(out / "clip" / f"{hidden_act}.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=config)
    save(out / "clip" / "weights.safetensors", hub_names(clip.state_dict()), 0, "weights, not compared")
