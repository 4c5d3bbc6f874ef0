"""Sentences with weights and in chunks, and embeddings: the files of each trainer, and what they make of the tiny text encoder's states.

Embeddings are compared with diffusers itself. Weights and chunks have no library as their reference: here they are as AUTOMATIC1111's
web UI defines them (`prompt_parser.py`, `sd_hijack_clip.py`, `sd_emphasis.py`), written anew as a recursive descent over the sentence.
"""

import json

import torch
from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from gen_pipeline import photo, pixels
from gen_sdxl import load as load_xl
from golden import FIXTURES, save, sort_header
from safetensors.torch import load_file, save_file

FOLDER = FIXTURES / "tiny-ip2p"
CHUNK = 75
BACKTRACK = 20
REASON = "f32 sums of up to 64 terms in another order, through 2 layers; the mean is taken in f64 here and there"
LONG = "make it snowy and remove the flower, turn the (car:0.6) red, "


def vectors():
    generator = torch.Generator().manual_seed(21)
    return torch.randn(2, 32, generator=generator) * 0.7


def write_files(folder):
    """One embedding in every form."""
    folder.mkdir(parents=True, exist_ok=True)
    both = vectors()

    def save_tensors(name, tensors):
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
        sort_header(folder / name)

    save_tensors("cat.safetensors", {"<cat-toy>": both})
    save_tensors("one.safetensors", {"<one>": both[0].clone()})
    save_tensors("params.safetensors", {"emb_params": both})
    save_tensors("xl.safetensors", {"clip_l": both, "clip_g": torch.zeros(2, 40)})
    save_tensors("wide.safetensors", {"<wide>": torch.zeros(1, 1024)})
    generator = torch.Generator().manual_seed(22)
    pair = {name: torch.randn(2, width, generator=generator) for name, width in [("clip_l", 8), ("clip_g", 16)]}
    save_tensors("tiny-xl.safetensors", pair)
    torch.save({"<cat-toy>": both.clone()}, folder / "cat.bin")
    about = {"name": "a1111", "step": 500, "sd_checkpoint": "1a2b3c4d", "sd_checkpoint_name": None}
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": both.clone()}, **about}, folder / "a1111.pt")
    # The first trainings of textual inversion saved modules of PyTorch.
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(both.clone())})
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters}, folder / "dictionary.pt")


class Sentence:
    """`(…)`, `(…:w)`, `[…]`, backslashes and BREAK, by descent: a list of `(text, weight)`, `None` where a chunk begins."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def parts(self, closing=""):
        """The parts up to a closing bracket, and the weight that stands before it."""
        found = []
        while self.at < len(self.text):
            mark = self.text[self.at]
            self.at += 1
            if mark == closing:
                return found, 1.1 if mark == ")" else 1 / 1.1
            if mark == "\\":
                if self.at < len(self.text) and self.text[self.at] in "\\()[]":
                    found.append((self.text[self.at], 1.0))
                    self.at += 1
            elif mark in "([":
                inner, weight = self.parts(")" if mark == "(" else "]")
                found += [(text, own * weight) for text, own in inner]
            elif mark == ":" and closing == ")" and (weight := self.weight()) is not None:
                return found, weight
            elif self.text.startswith("BREAK", self.at - 1):
                self.at += len("BREAK") - 1
                found.append(None)
            else:
                found.append((mark, 1.0))
        assert closing == "", "a bracket is not closed"
        return found, 1.0

    def weight(self):
        end = self.text.find(")", self.at)
        try:
            weight = float(self.text[self.at : end])
        except ValueError:
            return None
        self.at = end + 1
        return weight


def runs(text):
    """The words of one weight together, as they are tokenised."""
    together = []
    for part in Sentence(text).parts()[0]:
        if part is not None and together and together[-1] is not None and together[-1][1] == part[1]:
            together[-1] = (together[-1][0] + part[0], part[1])
        else:
            together.append(part)
    return together


def chunks(tokenizer, text):
    """The ids and the weights of each chunk."""
    comma, start, end = tokenizer.convert_tokens_to_ids(",</w>"), tokenizer.bos_token_id, tokenizer.eos_token_id
    done, current = [], []
    for part in runs(text):
        if part is None:
            done, current = [*done, current], []
            continue
        for token in tokenizer(part[0], add_special_tokens=False).input_ids:
            if len(current) == CHUNK:
                commas = [i for i, (other, _) in enumerate(current) if other == comma]
                cut = commas[-1] + 1 if commas and token != comma and CHUNK - commas[-1] <= BACKTRACK else CHUNK
                done, current = [*done, current[:cut]], current[cut:]
            current.append((token, part[1]))
    done = [*done, current] if current or not done else done
    padded = [[(start, 1.0), *chunk, *[(end, 1.0)] * (CHUNK + 1 - len(chunk))] for chunk in done]
    ids, weights = ([[pair[i] for pair in chunk] for chunk in padded] for i in (0, 1))
    return torch.tensor(ids), torch.tensor(weights)


def weighted(encoder, ids, weights):
    """The states of the chunks, one after the other, each with the mean that it had before it was weighed."""
    states = []
    for chunk, factors in zip(ids, weights):
        z = encoder(chunk[None])[0]
        heavy = z * factors[None, :, None]
        states.append(heavy * (z.double().mean() / heavy.double().mean()).float())
    return torch.cat(states, 1)


SENTENCES = [
    "make it (snowy:1.3)",
    "make ((it)) [[snowy]] and (red:0.5)",
    "a \\(hat\\) on (the man:-0.4), \\\\ [left]",
    "(make (it:1.2) snowy:0.9)",
    "make it snowy BREAK (turn the car red:1.4) BREAK remove the flower",
    LONG * 6,
    "hat " * 76,
]


def load():
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(FOLDER, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def write_weights(folder):
    pipe = load()
    tensors = {}
    for i, text in enumerate(SENTENCES):
        ids, weights = chunks(pipe.tokenizer, text)
        tensors |= {f"ids.{i}": ids, f"weights.{i}": weights, f"context.{i}": weighted(pipe.text_encoder, ids, weights)}
    assert tensors[f"ids.{len(SENTENCES) - 1}"].shape == (2, 77)
    save(folder / "weights.safetensors", tensors, 2e-5, REASON, tolerance_gpu=2e-4, sentences=json.dumps(SENTENCES))


@torch.no_grad()
def write_embeddings(folder):
    """An edit whose sentence and negative prompt name embeddings, by diffusers."""
    pipe = load()
    pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    pipe.load_textual_inversion(folder / "cat.safetensors")
    pipe.load_textual_inversion(folder / "one.safetensors")
    instruction, negative = "make it a <cat-toy> hat", "a <one> flower, <cat-toy>"
    source = photo(96, 64)
    trajectory = {}

    def record(pipe, i, t, kwargs):
        trajectory[f"latents.{i}"] = kwargs["latents"].clone()
        return {}

    image = pipe(
        instruction,
        image=source,
        negative_prompt=negative,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(7),
        callback_on_step_end=record,
    ).images[0]
    last = f"latents.{len(trajectory) - 1}"
    tensors = {"photo": pixels(source), "output.0": pixels(image), "latents": trajectory[last]}
    about = {"instruction": instruction, "negative": negative, "steps": "4", "seed": "7"}
    reason = "f32 sums in another order, grown by the steps of a random network; pictures are compared by share of values"
    save(folder / "edit.safetensors", tensors, 2e-4, reason, tolerance_gpu=5e-3, **about)


def xl_states(tokenizer, encoder, rows, parts):
    """The penultimate states of the chunks, weighed, and the projected state at the first chunk's end, if there is a projection."""
    own = len(tokenizer)
    encoder.resize_token_embeddings(own + len(rows), mean_resizing=False)
    encoder.get_input_embeddings().weight.data[own:] = rows
    states, pooled = [], None
    for chunk in parts:
        tokens = []
        for words, weight in chunk:
            if words is None:
                ids = range(own, own + len(rows))
            else:
                ids = tokenizer(words, add_special_tokens=False).input_ids
            tokens += [(id, weight) for id in ids]
        end = len(tokens) + 1
        tokens = [(tokenizer.bos_token_id, 1.0), *tokens, (tokenizer.eos_token_id, 1.0)]
        tokens += [(tokenizer.pad_token_id, 1.0)] * (CHUNK + 2 - len(tokens))
        ids, weights = (torch.tensor([[pair[i] for pair in tokens]]) for i in (0, 1))
        out = encoder(ids, output_hidden_states=True)
        z = out.hidden_states[-2]
        heavy = z * weights[..., None]
        states.append(heavy * (z.double().mean() / heavy.double().mean()).float())
        if pooled is None and hasattr(encoder, "text_projection"):
            pooled = encoder.text_projection(out.last_hidden_state[:, end])
    return torch.cat(states, 1), pooled


@torch.no_grad()
def write_xl(folder):
    """An edit with Stable Diffusion XL of a sentence of two chunks, whose first names an embedding that counts more.

    The pooled state is that of the sentence's true end: transformers takes the highest id for it where the config says so, which
    an added token's is.
    """
    pipe = load_xl(FIXTURES / "tiny-sdxl")
    vectors = load_file(folder / "tiny-xl.safetensors")
    parts = [[("put a ", 1.0), (None, 1.3), (" hat on it", 1.0)], [("make it snowy", 1.0)]]
    first, _ = xl_states(pipe.tokenizer, pipe.text_encoder, vectors["clip_l"], parts)
    second, pooled = xl_states(pipe.tokenizer_2, pipe.text_encoder_2, vectors["clip_g"], parts)
    context = torch.cat([first, second], -1)
    source = photo(64, 48)
    trajectory = {}

    def record(i, t, latents):
        trajectory[f"latents.{i}"] = latents.clone()

    scheduler = json.dumps(dict(pipe.scheduler.config) | {"_class_name": type(pipe.scheduler).__name__}, default=list)
    image = pipe(
        image=source,
        prompt_embeds=context,
        pooled_prompt_embeds=pooled,
        negative_prompt_embeds=torch.zeros_like(context),
        negative_pooled_prompt_embeds=torch.zeros_like(pooled),
        height=48,
        width=64,
        num_inference_steps=4,
        guidance_scale=5.0,
        image_guidance_scale=1.5,
        generator=torch.Generator().manual_seed(7),
        callback=record,
        callback_steps=1,
    ).images[0]
    last = f"latents.{len(trajectory) - 1}"
    tensors = {"photo": pixels(source), "output.0": pixels(image), "latents": trajectory[last]}
    about = {"instruction": "put a (tiny-xl:1.3) hat on it BREAK make it snowy", "steps": "4", "seed": "7"}
    reason = "f32 sums in another order, grown by the steps of a random network; pictures are compared by share of values"
    save(folder / "edit-xl.safetensors", tensors, 2e-4, reason, tolerance_gpu=5e-3, scheduler=scheduler, **about)


def write(out):
    folder = out / "text"
    write_files(folder)
    write_weights(folder)
    write_embeddings(folder)
    write_xl(folder)
