//! Schedules, samplers and guidance against diffusers and k-diffusion: `tests/golden/gen_sched.py`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer to an error"
)]

use burn::tensor::Tensor;
use ip2p_core::{Branch, CheckpointProfile, Guidance, PredictionType, Result};
use ip2p_sched::{
    NoiseSchedule, Sampler, SamplerKind, Schedule, ScheduleKind, SchedulerConfig, c_in, denoised,
    guide,
};
use ip2p_testing::{Golden, device};
use serde_json::Value;

/// The stand-in for the U-Net: the formula of `gen_sched.py`.
fn network(x: Tensor<4>, timestep: f64) -> Tensor<4> {
    let (scale, shift) = ((timestep / 150.0).cos(), (timestep / 70.0).sin());
    (x * (0.9 + 0.1 * scale) + 0.3 * shift).tanh() * 0.8
}

/// The same as a denoiser.
fn denoiser(
    schedule: &Schedule,
    prediction: PredictionType,
) -> impl FnMut(Tensor<4>, f64) -> Result<Tensor<4>> + use<'_> {
    move |x: Tensor<4>, sigma| {
        let output = network(x.clone() * c_in(sigma), schedule.timestep(sigma));
        denoised(prediction, x, output, sigma)
    }
}

/// The recorded noise: the first to start from, then one for each step.
fn recorded_noise(golden: &Golden) -> impl FnMut() -> Tensor<4> + use<> {
    let noise = golden.tensor::<5>("noise", &device());
    let mut draws = noise
        .iter_dim(0)
        .map(|draw| draw.squeeze_dim::<4>(0))
        .collect::<Vec<_>>()
        .into_iter();
    move || draws.next().expect("20 steps at most were recorded")
}

/// Compares the latents after each step with the recorded ones, in the scale in which the reference keeps them.
fn check_trajectory(
    golden: &mut Golden,
    case: &str,
    sampler: &Sampler,
    schedule: &Schedule,
    prediction: PredictionType,
    reference_scale: impl Fn(f64) -> f64,
) {
    let mut noise = recorded_noise(golden);
    let mut denoiser = denoiser(schedule, prediction);
    let latents = schedule.initial_latents(noise());
    let mut run = sampler.begin(schedule, latents).unwrap();
    let last = schedule.steps().len() - 1;
    while let Some(step) = run.step(&mut denoiser, &mut noise).unwrap() {
        let scale = if step.index == last {
            1.0
        } else {
            reference_scale(step.sigma_next)
        };
        golden.check(
            &format!("{case}/latents.{}", step.index),
            step.latents * scale,
        );
    }
}

/// Compares sigmas by their logarithms, and the timesteps.
fn check_schedule(golden: &mut Golden, case: &str, schedule: &Schedule) {
    let sigmas: Vec<f64> = schedule.steps().iter().map(|step| step.sigma).collect();
    let timesteps: Vec<f64> = sigmas
        .iter()
        .map(|&sigma| schedule.timestep(sigma))
        .collect();
    let log_sigmas: Vec<f64> = sigmas.iter().map(|sigma| sigma.ln()).collect();
    golden.check_doubles(&format!("{case}/sigmas.log"), &log_sigmas);
    golden.check_doubles(&format!("{case}/timesteps"), &timesteps);
}

fn cases(golden: &Golden) -> Vec<Value> {
    serde_json::from_str(golden.text("cases")).unwrap()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn steps(case: &Value) -> usize {
    usize::try_from(case["steps"].as_u64().unwrap()).unwrap()
}

fn with_eta(sampler: Sampler, case: &Value) -> Sampler {
    match case["eta"].as_f64() {
        Some(eta) => sampler.with_eta(eta),
        None => sampler,
    }
}

/// Every recorded case of the diffusers scheduler that `kind` is.
fn equals_diffusers(kind: SamplerKind) {
    use SamplerKind::{Ddim, DpmPp2m, DpmPp2mSde, Lcm, Tcd, UniPc};
    let variance_preserving = matches!(kind, Ddim | DpmPp2m | DpmPp2mSde | Lcm | Tcd | UniPc);
    let reference_scale = |sigma| {
        if variance_preserving {
            c_in(sigma)
        } else {
            1.0
        }
    };
    let mut golden = Golden::open(&format!("sched/diffusers-{kind}"));
    for case in cases(&golden) {
        let name = text(&case, "name");
        let config = SchedulerConfig::from_json(&case["config"].to_string()).unwrap();
        let mut profile = CheckpointProfile::default();
        config.apply_to(&mut profile);
        let schedule = config.schedule(kind, steps(&case)).unwrap();
        let sampler = with_eta(config.sampler(kind).unwrap(), &case);

        check_schedule(&mut golden, name, &schedule);
        let init = schedule.init_noise_sigma() * reference_scale(schedule.steps()[0].sigma);
        golden.check_doubles(&format!("{name}/init_noise_sigma"), &[init]);
        check_trajectory(
            &mut golden,
            name,
            &sampler,
            &schedule,
            profile.prediction,
            reference_scale,
        );
    }
    golden.finish();
}

#[test]
fn euler_ancestral_equals_diffusers() {
    equals_diffusers(SamplerKind::EulerAncestral);
}

#[test]
fn euler_equals_diffusers() {
    equals_diffusers(SamplerKind::Euler);
}

#[test]
fn heun_equals_diffusers() {
    equals_diffusers(SamplerKind::Heun);
}

#[test]
fn ddim_equals_diffusers() {
    equals_diffusers(SamplerKind::Ddim);
}

#[test]
fn dpmpp_2m_equals_diffusers() {
    equals_diffusers(SamplerKind::DpmPp2m);
}

#[test]
fn dpmpp_2m_sde_equals_diffusers() {
    equals_diffusers(SamplerKind::DpmPp2mSde);
}

#[test]
fn unipc_equals_diffusers() {
    equals_diffusers(SamplerKind::UniPc);
}

#[test]
fn lcm_equals_diffusers() {
    equals_diffusers(SamplerKind::Lcm);
}

#[test]
fn tcd_equals_diffusers() {
    equals_diffusers(SamplerKind::Tcd);
}

#[test]
fn schedules_and_samplers_equal_k_diffusion() {
    let mut golden = Golden::open("sched/k-diffusion");
    for case in cases(&golden) {
        let name = text(&case, "name");
        let prediction: PredictionType =
            serde_json::from_value(case["prediction"].clone()).unwrap();
        let noise = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let kind: ScheduleKind = text(&case, "schedule").parse().unwrap();
        let schedule = Schedule::new(&noise, &kind, steps(&case)).unwrap();
        let sampler = with_eta(Sampler::new(text(&case, "sampler").parse().unwrap()), &case);
        check_schedule(&mut golden, name, &schedule);
        check_trajectory(&mut golden, name, &sampler, &schedule, prediction, |_| 1.0);
    }
    golden.finish();
}

#[test]
fn the_training_noise_equals_diffusers() {
    let mut golden = Golden::open("sched/noise");
    for case in cases(&golden) {
        let config = SchedulerConfig::from_json(&case["config"].to_string()).unwrap();
        let mut profile = CheckpointProfile::default();
        config.apply_to(&mut profile);
        let noise = NoiseSchedule::new(&profile).unwrap();
        let log_sigmas: Vec<f64> = noise.sigmas().iter().map(|sigma| sigma.ln()).collect();
        golden.check_doubles(text(&case, "name"), &log_sigmas);
    }
    golden.finish();
}

#[test]
fn guidance_equals_diffusers() {
    let mut golden = Golden::open("sched/guidance");
    let branch = |name| golden.tensor::<4>(name, &device());
    let outputs = [branch("cond"), branch("img_cond"), branch("uncond")];
    for (name, rescale) in [("guided", 0.0), ("rescaled", 0.7)] {
        let guidance = Guidance::new(7.5, 1.5).with_rescale(rescale);
        let plan = guidance.plan(0);
        assert_eq!(
            plan.iter()
                .map(|planned| planned.branch)
                .collect::<Vec<_>>(),
            [Branch::TextAndImage, Branch::Image, Branch::Neither]
        );
        let planned: Vec<_> = plan.into_iter().zip(outputs.clone()).collect();
        golden.check(name, guide(&planned, &guidance));
    }
    golden.finish();
}
