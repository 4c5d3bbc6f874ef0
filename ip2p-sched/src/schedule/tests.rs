use ip2p_core::CheckpointProfile;

use super::*;

fn noise() -> NoiseSchedule {
    NoiseSchedule::new(&CheckpointProfile::default()).unwrap()
}

#[test]
fn the_normal_schedule_is_even_in_timesteps() {
    let schedule = Schedule::new(&noise(), &ScheduleKind::Normal, 4).unwrap();
    for (step, expected) in schedule.steps().iter().zip([999.0, 666.0, 333.0, 0.0]) {
        assert!((schedule.timestep(step.sigma) - expected).abs() < 1e-9);
    }
}

#[test]
fn one_step_goes_from_the_most_noise_to_none() {
    let noise = noise();
    for kind in [
        ScheduleKind::Normal,
        ScheduleKind::Karras,
        ScheduleKind::Exponential,
        ScheduleKind::Trailing,
    ] {
        let sigmas = Schedule::new(&noise, &kind, 1).unwrap().sigmas();
        assert!((sigmas[0] - noise.sigma_max()).abs() < 1e-9, "{kind}");
        assert!(sigmas[1] == 0.0 && sigmas.len() == 2, "{kind}");
    }
}

#[test]
fn zero_steps_and_more_than_there_are_timesteps_are_refused() {
    for steps in [0, 1001, usize::MAX] {
        let error = Schedule::new(&noise(), &ScheduleKind::Karras, steps).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("steps must be between 1 and 1000")
        );
    }
}

#[test]
fn a_list_of_ones_own_is_taken_as_it_is() {
    for list in [vec![14.0, 3.0, 0.5], vec![14.0, 3.0, 0.5, 0.0]] {
        let kind = ScheduleKind::Custom(list);
        let schedule = Schedule::new(&noise(), &kind, kind.steps().unwrap()).unwrap();
        assert_eq!(schedule.sigmas(), [14.0, 3.0, 0.5, 0.0]);
        assert!(schedule.init_noise_sigma() == 14.0);
    }
}

#[test]
fn a_list_that_does_not_fall_to_zero_is_refused() {
    for list in [
        vec![],
        vec![0.0],
        vec![3.0, 3.0],
        vec![1.0, 2.0],
        vec![2.0, -1.0],
        vec![2.0, 0.0, 0.0],
        vec![f64::NAN],
        vec![f64::INFINITY, 1.0],
    ] {
        let kind = ScheduleKind::Custom(list);
        assert!(Schedule::new(&noise(), &kind, 1).is_err(), "{kind}");
        assert!(Schedule::new(&noise(), &kind, 2).is_err(), "{kind}");
    }
    let kind = ScheduleKind::Custom(vec![3.0, 1.0]);
    let error = Schedule::new(&noise(), &kind, 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "steps must be 2, as the schedule has, got 20"
    );
}

fn timesteps(schedule: &Schedule) -> Vec<f64> {
    let steps = schedule.steps().iter();
    steps
        .map(|step| schedule.timestep(step.sigma).round())
        .collect()
}

#[test]
fn lcm_and_tcd_walk_down_the_timesteps_they_were_distilled_at() {
    for sampler in [SamplerKind::Lcm, SamplerKind::Tcd] {
        let schedule =
            |steps| Schedule::for_sampler(&noise(), sampler, &ScheduleKind::Normal, steps);
        let found = timesteps(&schedule(4).unwrap());
        assert_eq!(found, [999.0, 759.0, 499.0, 259.0]);
        let error = schedule(51).unwrap_err().to_string();
        assert!(error.contains(sampler.name()), "{error}");
    }
}

#[test]
fn trailing_timesteps_begin_with_the_last_and_leave_out_the_first() {
    let schedule = Schedule::new(&noise(), &ScheduleKind::Trailing, 4).unwrap();
    assert_eq!(timesteps(&schedule), [999.0, 749.0, 499.0, 249.0]);
    assert_eq!(schedule.sigmas()[4].to_string(), "0");
}
