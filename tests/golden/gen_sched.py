"""Noise schedules, schedules, samplers' trajectories and guidance, from diffusers and k-diffusion.

The network is a formula that the tests compute too: what is compared is the sampler. Its answer depends on the timestep, so
that a wrong timestep shows.
"""

import json
import math
from unittest import mock

import diffusers
import k_diffusion as K
import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.schedulers import scheduling_euler_discrete
from golden import save

SHAPE = (2, 4, 2, 3)

# The scheduler of the hub's Stable Diffusion 1 folders, as PNDM wrote it.
HUB = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.10.0",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
LEADING, TRAILING, LINSPACE = ({"timestep_spacing": name} for name in ("leading", "trailing", "linspace"))
KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
NO_OFFSET = {"steps_offset": 0}
V, SAMPLE = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
ZERO_SNR = {"rescale_betas_zero_snr": True}
LINEAR = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
SIGMA_MIN = {"final_sigmas_type": "sigma_min"}

# (name, fields besides HUB's, steps, settings of the step)
CASES = {
    "euler-a": [
        ("hub", {}, 10, {}),
        ("hub_20", {}, 20, {}),
        ("leading", LEADING, 7, {}),
        ("leading_no_offset", LEADING | NO_OFFSET, 5, {}),
        ("trailing", TRAILING, 15, {}),
        ("v_linear", V | LINEAR, 10, {}),
        ("v_zero_snr", V | ZERO_SNR | TRAILING, 10, {}),
        ("one_step", {}, 1, {}),
    ],
    "euler": [
        ("hub", {}, 10, {}),
        ("leading", LEADING, 7, {}),
        ("trailing_sample", TRAILING | SAMPLE, 15, {}),
        ("karras", KARRAS, 8, {}),
        ("karras_leading", KARRAS | LEADING, 8, {}),
        ("karras_range", KARRAS | {"sigma_min": 0.05, "sigma_max": 12.0}, 8, {}),
        ("exponential", EXPONENTIAL, 8, {}),
        ("v_zero_snr", V | ZERO_SNR | TRAILING, 10, {}),
        ("cosine_v", COSINE | V, 10, {}),
        ("sigma_min", SIGMA_MIN | TRAILING, 6, {}),
    ],
    "heun": [
        ("hub", {}, 10, {}),
        ("leading_v", LEADING | V, 7, {}),
        ("trailing", TRAILING, 15, {}),
        ("karras", KARRAS, 8, {}),
        ("sample", SAMPLE, 5, {}),
        ("zero_snr_unknown", ZERO_SNR | V, 5, {}),
        ("one_step", {}, 1, {}),
    ],
    "ddim": [
        ("hub", {}, 10, {}),
        ("hub_20", {}, 20, {}),
        ("hub_eta", {}, 10, {"eta": 0.7}),
        ("hub_eta_1", {}, 6, {"eta": 1.0}),
        ("no_offset", NO_OFFSET, 7, {"eta": 0.3}),
        ("linspace", LINSPACE, 12, {}),
        ("linspace_eta", LINSPACE, 15, {"eta": 0.5}),
        ("trailing", TRAILING, 15, {}),
        ("v_zero_snr", V | ZERO_SNR | TRAILING, 10, {}),
        ("sample", SAMPLE, 5, {}),
    ],
    "dpmpp-2m": [
        ("hub", {}, 10, {}),
        ("hub_20", {}, 20, {}),
        ("leading", LEADING, 7, {}),
        ("trailing_v", TRAILING | V, 15, {}),
        ("karras", KARRAS, 8, {}),
        ("exponential", EXPONENTIAL, 8, {}),
        ("v_zero_snr", V | ZERO_SNR | TRAILING, 10, {}),
        ("sigma_min", SIGMA_MIN, 10, {}),
        ("sigma_min_20", SIGMA_MIN, 20, {}),
        ("sigma_min_euler", SIGMA_MIN | {"euler_at_final": True}, 16, {}),
        ("sigma_min_high_order", SIGMA_MIN | {"lower_order_final": False}, 8, {}),
        ("cosine_clipped", COSINE | V | {"lambda_min_clipped": -5.1}, 10, {}),
        ("sample", SAMPLE, 5, {}),
    ],
    "dpmpp-2m-sde": [
        ("hub", {}, 10, {}),
        ("hub_20", {}, 20, {}),
        ("leading_v", LEADING | V, 7, {}),
        ("karras", KARRAS, 8, {}),
        ("sigma_min", SIGMA_MIN, 10, {}),
        ("sample", SAMPLE, 5, {}),
    ],
    "unipc": [
        ("hub", {}, 10, {}),
        ("hub_20", {}, 20, {}),
        ("leading", LEADING, 7, {}),
        ("trailing_v", TRAILING | V, 15, {}),
        ("karras", KARRAS, 8, {}),
        ("exponential", EXPONENTIAL, 8, {}),
        ("v_zero_snr", V | ZERO_SNR | TRAILING, 10, {}),
        ("sigma_min", SIGMA_MIN, 10, {}),
        ("sigma_min_high_order", SIGMA_MIN | {"lower_order_final": False}, 8, {}),
        ("sample", SAMPLE, 5, {}),
        ("two_steps", {}, 2, {}),
    ],
    "lcm": [
        ("hub", {}, 4, {}),
        ("eight", {}, 8, {}),
        ("one", {}, 1, {}),
        ("v_zero_snr", V | ZERO_SNR, 4, {}),
        ("other_teacher", {"original_inference_steps": 40, "timestep_scaling": 1.0}, 6, {}),
        ("sample", SAMPLE, 5, {}),
    ],
    "tcd": [
        ("hub", {}, 4, {}),
        ("eight_eta", {}, 8, {"eta": 0.6}),
        ("eta_0", {}, 5, {"eta": 0.0}),
        ("eta_1", {}, 4, {"eta": 1.0}),
        ("one", {}, 1, {}),
        ("v_zero_snr", V | ZERO_SNR, 4, {}),
        ("other_teacher", {"original_inference_steps": 40}, 6, {}),
        ("sample", SAMPLE, 5, {}),
    ],
}
SCHEDULERS = {
    "euler-a": lambda config: diffusers.EulerAncestralDiscreteScheduler.from_config(config),
    "euler": lambda config: diffusers.EulerDiscreteScheduler.from_config(config),
    "heun": lambda config: diffusers.HeunDiscreteScheduler.from_config(config),
    "ddim": lambda config: diffusers.DDIMScheduler.from_config(config, clip_sample=False, set_alpha_to_one=False),
    "dpmpp-2m": lambda config: diffusers.DPMSolverMultistepScheduler.from_config(config),
    "dpmpp-2m-sde": lambda config: diffusers.DPMSolverMultistepScheduler.from_config(
        config, algorithm_type="sde-dpmsolver++"
    ),
    "unipc": lambda config: diffusers.UniPCMultistepScheduler.from_config(config),
    "lcm": lambda config: diffusers.LCMScheduler.from_config(config),
    "tcd": lambda config: diffusers.TCDScheduler.from_config(config),
}


def network(x, timestep):
    """The stand-in for the U-Net; `tests/parity_sched.rs` has the same."""
    return (x * (0.9 + 0.1 * math.cos(timestep / 150)) + 0.3 * math.sin(timestep / 70)).tanh() * 0.8


def draw(steps):
    """The noise to start from, and one for each step."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=generator) for _ in range(steps + 1)]


class InDouble:
    """torch with `float32` as wide as `float64`, for a scheduler that casts to it.

    Euler's method as it is written there, `x + d * (sigma_next - sigma)`, subtracts numbers as large as the first sigma from
    each other: in f32 this alone is an error of 2e-4 where sigma starts at 20 000. Ours does not, and is compared with the
    exact result.
    """

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def stepped(scheduler, sampler, steps, settings):
    """The latents after each step, as the pipeline computes them: one generator draws all the noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    if sampler == "euler" and scheduler.init_noise_sigma > 1000:
        x, scheduler.sigmas = x.double(), scheduler.sigmas.double()
    if sampler in ("euler-a", "ddim", "dpmpp-2m-sde", "lcm", "tcd"):
        settings = settings | {"generator": generator}
    trajectory = []
    for i, timestep in enumerate(scheduler.timesteps):
        output = network(scheduler.scale_model_input(x, timestep), float(timestep))
        with mock.patch.object(scheduling_euler_discrete, "torch", InDouble() if x.dtype == torch.double else torch):
            x = scheduler.step(output, timestep, x, **settings).prev_sample
        # Heun's method takes two turns for each step but the last.
        if sampler != "heun" or i % 2 == 1 or i == len(scheduler.timesteps) - 1:
            trajectory.append(x)
    assert len(trajectory) == steps, (sampler, len(trajectory), steps)
    return trajectory


def schedule_of(scheduler, sampler):
    """Sigmas with the last one, and timesteps, one for each step."""
    timesteps = scheduler.timesteps.double()
    if sampler in ("ddim", "lcm", "tcd"):
        alphas = scheduler.alphas_cumprod.double()[scheduler.timesteps]
        sigmas = ((1 - alphas) / alphas).sqrt()
        # ᾱ = 0 has no sigma.
        return sigmas.clamp(max=2.0**30), timesteps
    sigmas = scheduler.sigmas.double()
    if sampler == "heun":
        return torch.cat([sigmas[:1], sigmas[1:-1:2], sigmas[-1:]]), torch.cat([timesteps[:1], timesteps[1::2]])
    return sigmas, timesteps


def write_diffusers(out, sampler):
    tensors, cases = {}, []
    for name, fields, steps, settings in CASES[sampler]:
        config = HUB | fields
        scheduler = SCHEDULERS[sampler](dict(config))
        scheduler.set_timesteps(steps)
        for i, x in enumerate(stepped(scheduler, sampler, steps, settings)):
            tensors[f"{name}/latents.{i}"] = x
        sigmas, timesteps = schedule_of(scheduler, sampler)
        tensors[f"{name}/sigmas.log"] = sigmas[:steps].log()
        tensors[f"{name}/timesteps"] = timesteps
        tensors[f"{name}/init_noise_sigma"] = torch.as_tensor(scheduler.init_noise_sigma).double().reshape(1)
        cases.append({"name": name, "config": config, "steps": steps, "eta": settings.get("eta")})
    tensors["noise"] = torch.stack(draw(20))
    reason = "f32 on both sides; the reference keeps its sigmas in f32 too"
    path = out / "sched" / f"diffusers-{sampler}.safetensors"
    save(path, tensors, tolerance=1e-5, tolerance_gpu=1e-4, reason=reason, cases=json.dumps(cases))


def alphas_cumprod():
    """The original repository's: computed in f64, kept in f32."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2
    return torch.tensor(np.cumprod(1.0 - betas), dtype=torch.float32)


# (name, function, schedule, prediction, steps, settings)
K_CASES = [
    ("euler-a", K.sampling.sample_euler_ancestral, "normal", "epsilon", 10, {}),
    ("euler-a.20", K.sampling.sample_euler_ancestral, "normal", "epsilon", 20, {}),
    ("euler-a.eta", K.sampling.sample_euler_ancestral, "karras", "v_prediction", 7, {"eta": 0.6}),
    ("euler", K.sampling.sample_euler, "exponential", "epsilon", 10, {}),
    ("euler.own", K.sampling.sample_euler, "14,6.5,2,0.7,0.1", "epsilon", 5, {}),
    ("heun", K.sampling.sample_heun, "karras", "epsilon", 8, {}),
    ("dpmpp-2m", K.sampling.sample_dpmpp_2m, "karras", "epsilon", 12, {}),
    ("dpmpp-2m.v", K.sampling.sample_dpmpp_2m, "normal", "v_prediction", 20, {}),
    ("dpmpp-2m-sde", K.sampling.sample_dpmpp_2m_sde, "karras", "epsilon", 12, {}),
    ("dpmpp-2m-sde.eta", K.sampling.sample_dpmpp_2m_sde, "exponential", "epsilon", 10, {"eta": 0.4}),
]


def k_sigmas(model, schedule, steps):
    ends = model.sigma_min.item(), model.sigma_max.item()
    if schedule == "normal":
        return model.get_sigmas(steps)
    if schedule == "karras":
        return K.sampling.get_sigmas_karras(steps, *ends)
    if schedule == "exponential":
        return K.sampling.get_sigmas_exponential(steps, *ends)
    return torch.tensor([float(sigma) for sigma in schedule.split(",")] + [0.0])


def write_k_diffusion(out):
    tensors, cases = {}, []
    wrappers = {
        "epsilon": K.external.DiscreteEpsDDPMDenoiser,
        "v_prediction": K.external.DiscreteVDDPMDenoiser,
    }
    for name, sample, schedule, prediction, steps, settings in K_CASES:
        inner = lambda x, timestep: network(x, timestep[0].item())
        model = wrappers[prediction](inner, alphas_cumprod(), quantize=False)
        sigmas = k_sigmas(model, schedule, steps)
        noises = draw(steps)
        trajectory = []
        settings = settings | {"callback": lambda step: trajectory.append(step["x"]), "disable": True}
        if sample in (K.sampling.sample_euler_ancestral, K.sampling.sample_dpmpp_2m_sde):
            rest = iter(noises[1:])
            settings["noise_sampler"] = lambda sigma, sigma_next: next(rest)
        trajectory.append(sample(model, noises[0] * sigmas[0], sigmas, **settings))
        for i, x in enumerate(trajectory[1:]):
            tensors[f"{name}/latents.{i}"] = x
        tensors[f"{name}/sigmas.log"] = sigmas[:-1].double().log()
        tensors[f"{name}/timesteps"] = model.sigma_to_t(sigmas[:-1]).double()
        case = {"name": name, "sampler": name.split(".")[0], "schedule": schedule, "prediction": prediction}
        cases.append(case | {"steps": steps, "eta": settings.get("eta")})
    tensors["noise"] = torch.stack(draw(20))
    reason = "f32 on both sides; the reference keeps its sigmas in f32 too"
    path = out / "sched" / "k-diffusion.safetensors"
    save(path, tensors, tolerance=1e-5, tolerance_gpu=1e-4, reason=reason, cases=json.dumps(cases))


def write_noise(out):
    """Logarithms of the sigmas of all training timesteps: an error in them is a relative one."""
    tensors, cases = {}, []
    for name, fields in {
        "scaled_linear": {},
        "linear": LINEAR,
        "cosine": COSINE,
        "short": {"num_train_timesteps": 100} | LINEAR,
        "zero_snr": ZERO_SNR,
    }.items():
        config = HUB | fields
        scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(dict(config))
        alphas = scheduler.alphas_cumprod.double()
        tensors[name] = ((1 - alphas) / alphas).sqrt().log()
        cases.append({"name": name, "config": config})
    reason = "the f32 table cannot be had bit for bit: torch.linspace depends on the vector width"
    save(out / "sched" / "noise.safetensors", tensors, tolerance=1e-5, reason=reason, cases=json.dumps(cases))


def write_guidance(out):
    generator = torch.Generator().manual_seed(3)
    cond, img_cond, uncond = (torch.randn(SHAPE, generator=generator) for _ in range(3))
    guided = uncond + 7.5 * (cond - img_cond) + 1.5 * (img_cond - uncond)
    tensors = {"cond": cond, "img_cond": img_cond, "uncond": uncond, "guided": guided}
    tensors["rescaled"] = rescale_noise_cfg(guided, cond, guidance_rescale=0.7)
    reason = "f32 on both sides, summed in another order"
    save(out / "sched" / "guidance.safetensors", tensors, tolerance=1e-5, reason=reason)


def write(out):
    write_noise(out)
    for sampler in CASES:
        write_diffusers(out, sampler)
    write_k_diffusion(out)
    write_guidance(out)
