//! What holds for every schedule, step and guidance.

use std::ops::RangeInclusive;

use burn::tensor::{Device, Distribution, Tensor};
use ip2p_core::{BetaSchedule, CheckpointProfile, EdmNoise};
use ip2p_sched::{
    NoiseSchedule, Sampler, SamplerKind, Schedule, ScheduleKind, SchedulerConfig, ancestral_step,
};
use proptest::prelude::*;

fn profiles() -> impl Strategy<Value = CheckpointProfile> {
    let betas = prop_oneof![
        Just(BetaSchedule::Linear),
        Just(BetaSchedule::ScaledLinear),
        Just(BetaSchedule::Cosine),
    ];
    let edm = (1e-3..0.1, 1.0..200.0, 0.3..2.0);
    let edm = edm.prop_map(|(sigma_min, sigma_max, sigma_data)| EdmNoise {
        sigma_min,
        sigma_max,
        sigma_data,
    });
    let edm = prop::option::weighted(0.3, edm);
    (betas, 1e-4..2e-3, 5e-3..3e-2, any::<bool>(), edm).prop_map(
        |(beta_schedule, beta_start, beta_end, zero_terminal_snr, edm)| CheckpointProfile {
            beta_schedule,
            beta_start,
            beta_end,
            zero_terminal_snr,
            edm,
            ..CheckpointProfile::default()
        },
    )
}

fn kinds() -> impl Strategy<Value = ScheduleKind> {
    prop::sample::select(ScheduleKind::NAMED.to_vec())
}

fn samplers() -> impl Strategy<Value = SamplerKind> {
    prop::sample::select(SamplerKind::ALL.to_vec())
}

/// A config of diffusers', of all the fields that change the schedule.
fn configs() -> impl Strategy<Value = String> {
    let spacing = prop::sample::select(vec!["leading", "trailing", "linspace"]);
    let respacing = prop::sample::select(vec!["", "karras", "exponential"]);
    let betas = prop::sample::select(vec!["linear", "scaled_linear", "squaredcos_cap_v2"]);
    (spacing, respacing, betas, 0..2_u8, any::<bool>()).prop_map(
        |(spacing, respacing, betas, offset, zero_snr)| {
            let respacing = match respacing {
                "" => String::new(),
                name => format!(r#", "use_{name}_sigmas": true"#),
            };
            format!(
                r#"{{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "{betas}", "timestep_spacing": "{spacing}",
                    "steps_offset": {offset}, "rescale_betas_zero_snr": {zero_snr}{respacing}}}"#
            )
        },
    )
}

/// A number that a sigma may be, and some that it may not.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![1e-4..200.0, -1.0..1.0, Just(0.0), Just(1e300), Just(1e-300)]
}

/// The fields of a config that hold a number.
const NUMBERS: [&str; 9] = [
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "steps_offset",
    "sigma_min",
    "sigma_max",
    "lambda_min_clipped",
    "original_inference_steps",
    "timestep_scaling",
];

fn numbers() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-3..2000_i64).prop_map(Into::into),
        (-10.0..10.0).prop_map(|number: f64| number.into()),
        (0.0..0.1).prop_map(|number: f64| number.into()),
        any::<f64>().prop_map(Into::into),
    ]
}

/// The timesteps of any training with betas.
const TIMESTEPS: RangeInclusive<f64> = 0.0..=1e5;

/// A quarter of the logarithm of any sigma that there is.
const LOGARITHMS: RangeInclusive<f64> = -200.0..=200.0;

/// `told` is what a network of the training may be told.
fn assert_falls(schedule: &Schedule, told: &RangeInclusive<f64>) -> Result<(), TestCaseError> {
    let sigmas: Vec<f64> = schedule.steps().iter().map(|step| step.sigma).collect();
    prop_assert!(sigmas.iter().all(|sigma| sigma.is_finite() && *sigma > 0.0));
    prop_assert!(
        sigmas.windows(2).all(|pair| pair[1] < pair[0]),
        "{sigmas:?}"
    );
    prop_assert!(
        schedule
            .steps()
            .iter()
            .all(|step| step.sigma_next <= step.sigma)
    );
    let timesteps: Vec<f64> = sigmas
        .iter()
        .map(|&sigma| schedule.timestep(sigma))
        .collect();
    prop_assert!(timesteps.iter().all(|timestep| told.contains(timestep)));
    prop_assert!(
        timesteps.windows(2).all(|pair| pair[1] <= pair[0]),
        "{timesteps:?}"
    );
    prop_assert!(schedule.init_noise_sigma().is_finite());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_schedule_falls_strictly_to_zero(
        profile in profiles(), kind in kinds(), steps in 1..=1000_usize,
    ) {
        let noise = NoiseSchedule::new(&profile).unwrap();
        let schedule = Schedule::new(&noise, &kind, steps).unwrap();
        prop_assert_eq!(schedule.steps().len(), steps);
        assert_falls(&schedule, if profile.edm.is_some() { &LOGARITHMS } else { &TIMESTEPS })?;
        let last = schedule.sigmas()[steps];
        prop_assert!(last == 0.0);
    }

    #[test]
    fn a_config_without_betas_gives_a_schedule_that_falls_or_an_error(
        min in number(), max in number(), data in number(), rho in number(), exponential in any::<bool>(),
        steps in 0..2000_usize,
    ) {
        let spacing = if exponential { "exponential" } else { "karras" };
        let json = serde_json::json!({
            "_class_name": "EDMEulerScheduler", "sigma_min": min, "sigma_max": max, "sigma_data": data, "rho": rho,
            "sigma_schedule": spacing,
        });
        if let Ok(config) = SchedulerConfig::from_json(&json.to_string())
            && let Ok(schedule) = config.schedule(SamplerKind::Euler, steps)
        {
            prop_assert_eq!(schedule.steps().len(), steps);
            assert_falls(&schedule, &LOGARITHMS)?;
        }
    }

    #[test]
    fn every_schedule_of_diffusers_falls_or_says_that_there_are_too_many_steps(
        config in configs(), sampler in samplers(), steps in 1..=1000_usize,
    ) {
        let config = SchedulerConfig::from_json(&config).unwrap();
        match config.schedule(sampler, steps) {
            Ok(schedule) => {
                prop_assert_eq!(schedule.steps().len(), steps);
                assert_falls(&schedule, &TIMESTEPS)?;
            }
            Err(error) => {
                prop_assert!(error.to_string().starts_with("steps must be"), "{}", error);
                // LCM and TCD have 50 timesteps; the others run out only near the end.
                let distilled = matches!(sampler, SamplerKind::Lcm | SamplerKind::Tcd);
                prop_assert!(steps > if distilled { 50 } else { 500 }, "{} {}", steps, error);
            }
        }
    }

    /// Whatever numbers a config holds, the answer is a schedule or an error.
    #[test]
    fn no_number_in_a_config_panics(
        fields in prop::collection::vec((prop::sample::select(NUMBERS.to_vec()), numbers()), 0..5),
        spacing in prop::sample::select(vec!["leading", "trailing", "linspace"]),
        karras in any::<bool>(), sampler in samplers(), steps in 0..2000_usize,
    ) {
        let mut json = serde_json::json!({"timestep_spacing": spacing, "use_karras_sigmas": karras});
        for (name, number) in fields {
            json[name] = number;
        }
        if let Ok(config) = SchedulerConfig::from_json(&json.to_string()) {
            if let Ok(schedule) = config.schedule(sampler, steps) {
                assert_falls(&schedule, &TIMESTEPS)?;
            }
            let _ = config.sampler(sampler);
        }
    }

    #[test]
    fn up_and_down_make_the_next_sigma(
        sigma in 1e-3..5e3_f64, share in 0.0..=1.0_f64, eta in 0.0..=1.0_f64,
    ) {
        let sigma_next = sigma * share;
        let (down, up) = ancestral_step(sigma, sigma_next, eta);
        prop_assert!(down >= 0.0 && up >= 0.0 && down <= sigma_next && up <= sigma_next);
        let squares = down.powi(2) + up.powi(2);
        prop_assert!((squares - sigma_next.powi(2)).abs() <= 1e-12 * sigma.powi(2));
    }

    /// If the denoiser is sure of the image, every sampler arrives at it.
    #[test]
    fn a_certain_denoiser_is_believed(
        sampler in samplers(), kind in kinds(), steps in 1..=30_usize, seed in any::<u64>(),
    ) {
        let device = Device::flex();
        device.seed(seed);
        let mut noise = || Tensor::<4>::random([1, 4, 2, 2], Distribution::Normal(0.0, 1.0), &device);
        let image = noise();
        let noise_schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let schedule = Schedule::for_sampler(&noise_schedule, sampler, &kind, steps).unwrap();
        let latents = schedule.initial_latents(noise());
        let mut run = Sampler::new(sampler).begin(&schedule, latents).unwrap();
        let mut evaluations = 0;
        let mut denoiser = |_: Tensor<4>, _: f64| {
            evaluations += 1;
            Ok(image.clone())
        };
        let mut taken = 0;
        while run.step(&mut denoiser, &mut noise).unwrap().is_some() {
            taken += 1;
        }
        prop_assert_eq!(taken, steps);
        prop_assert_eq!(evaluations, sampler.evaluations(steps));
        let error: f32 = (run.into_latents() - image).abs().max().into_scalar();
        // LCM's boundary condition keeps some of the noise at timestep 0: see `Schedule::for_sampler`.
        let tolerance = if sampler == SamplerKind::Lcm { 0.2 } else { 1e-4 };
        prop_assert!(error < tolerance, "{}", error);
    }

    /// The noise is asked for once at most in a step, and not for one that ends without noise.
    #[test]
    fn noise_is_drawn_only_where_it_is_used(sampler in samplers(), steps in 1..=20_usize) {
        let noise_schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let schedule =
            Schedule::for_sampler(&noise_schedule, sampler, &ScheduleKind::Normal, steps).unwrap();
        let mut draws = 0;
        let mut noise = || {
            draws += 1;
            Tensor::<4>::ones([1, 4, 1, 1], &Device::flex())
        };
        let latents = Tensor::ones([1, 4, 1, 1], &Device::flex());
        let mut run = Sampler::new(sampler).begin(&schedule, latents).unwrap();
        let mut denoiser = |x: Tensor<4>, _: f64| Ok(x.zeros_like());
        while run.step(&mut denoiser, &mut noise).unwrap().is_some() {}
        let stochastic = sampler == SamplerKind::Lcm || sampler.default_eta() > 0.0;
        prop_assert_eq!(draws, if stochastic { steps - 1 } else { 0 });
    }
}

#[test]
fn a_step_that_failed_can_be_taken_again() {
    for kind in SamplerKind::ALL {
        let noise_schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let schedule = Schedule::new(&noise_schedule, &ScheduleKind::Karras, 6).unwrap();
        let mut noise = || Tensor::<4>::ones([1, 4, 1, 1], &Device::flex());
        let mut walk = |failing: bool| -> f32 {
            let latents = schedule.initial_latents(noise());
            let mut run = Sampler::new(kind).begin(&schedule, latents).unwrap();
            let mut fails = false;
            let mut denoiser = |x: Tensor<4>, sigma: f64| {
                fails = !fails && failing;
                if fails {
                    return Err(ip2p_core::Error::Stopped);
                }
                Ok(x.tanh() * (1.0 / (1.0 + sigma)))
            };
            let mut taken = 0;
            while taken < 6 {
                taken += usize::from(run.step(&mut denoiser, &mut noise).is_ok());
            }
            run.into_latents().mean().into_scalar()
        };
        // Heun asks twice in a step: what fails every other time would never get through.
        let failing = kind != SamplerKind::Heun;
        assert!((walk(failing) - walk(false)).abs() < 1e-7, "{kind}");
    }
}
