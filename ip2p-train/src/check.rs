//! What makes a training's settings senseless, said before anything is computed.

use ip2p::{Error, Result};

use crate::trainer::TrainerOptions;

/// # Errors
///
/// [`Error::InvalidSetting`] if a count is 0.
pub(crate) fn at_least_one(counts: &[(&'static str, u64)]) -> Result<()> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((name, count)) => Err(Error::setting(name, "at least 1", count)),
        None => Ok(()),
    }
}

/// # Errors
///
/// [`Error::InvalidSetting`] if a number is not in its range.
pub(crate) fn within(name: &'static str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let expected = format!("between {least} and {most}");
    Err(Error::setting(name, expected, value))
}

/// # Errors
///
/// [`Error::InvalidSetting`] if a step has fewer batches than there are devices.
pub(crate) fn batch_for_each(options: &TrainerOptions, devices: usize) -> Result<()> {
    if options.accumulate >= devices {
        return Ok(());
    }
    let expected = format!("at least {devices}, a batch for each device");
    Err(Error::setting(
        "trainer.accumulate",
        expected,
        options.accumulate,
    ))
}

/// # Errors
///
/// [`Error::InvalidSetting`] that names the first setting that makes no sense.
pub(crate) fn trainer(options: &TrainerOptions) -> Result<()> {
    at_least_one(&[
        ("trainer.steps", options.steps),
        ("trainer.accumulate", options.accumulate as u64),
    ])?;
    within(
        "trainer.learning_rate.peak",
        options.learning_rate.peak,
        f64::MIN_POSITIVE,
        1.0,
    )?;
    within(
        "trainer.learning_rate.floor",
        options.learning_rate.floor,
        0.0,
        1.0,
    )?;
    within("trainer.ema_decay", options.ema_decay, 0.0, 1.0)?;
    if let Some(norm) = options.max_grad_norm {
        within("trainer.max_grad_norm", norm, f64::MIN_POSITIVE, f64::MAX)?;
    }
    Ok(())
}
