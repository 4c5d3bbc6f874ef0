"""What the generators of fixtures share."""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

FIXTURES = Path(__file__).parent / "fixtures"


def save(path, tensors, tolerance, reason, tolerance_gpu=None, **metadata):
    """Writes one fixture: tensors, how near is near enough (relative to the largest magnitude above 1) and why."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata |= {
        "tolerance": repr(float(tolerance)),
        "reason": reason,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }
    if tolerance_gpu is not None:
        metadata["tolerance_gpu"] = repr(float(tolerance_gpu))
    as_tensor = lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    contiguous = {name: as_tensor(value).detach().clone().contiguous() for name, value in tensors.items()}
    save_file(contiguous, path, metadata=metadata)
    sort_header(path)


def sort_header(path):
    """Makes the same numbers the same file: safetensors writes the metadata in an order that differs at each run."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def randomise(module, seed, gain=1.0):
    """Gives every weight of a network a seeded value; norms stay near the identity, so that nothing vanishes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            fan_in = max(1, parameter[0].numel())
            if parameter.dim() > 1:
                parameter.copy_(noise * gain / fan_in**0.5)
            elif "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(0.1 * noise)
    return module.eval()
