//! Devices that break down in the middle: most backends panic then, and a user is to read an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::thread;

use ip2p::{Error, Result};

/// Runs what computes on this device; where it is one of another machine, a panic is an error that names it.
pub(crate) fn guarded<T>(device: Option<&str>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(device) = device.filter(|device| device.contains("remote:")) else {
        return work();
    };
    let usual = take_hook();
    set_hook(Box::new(|_| {}));
    let done = catch_unwind(AssertUnwindSafe(work));
    set_hook(usual);
    done.unwrap_or_else(|panic| {
        Err(Error::Device {
            device: device.to_owned(),
            reason: format!("broke off: {}", said(panic.as_ref())),
        })
    })
}

/// Lets the panics of a batch's threads be told by the batch alone, as failures of a device or a photo.
pub(crate) fn leave_panics_to_the_batch() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        let thread = thread::current();
        if !thread
            .name()
            .is_some_and(|name| name.starts_with(ip2p_batch::THREAD))
        {
            usual(panic);
        }
    }));
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next())
        .unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_breaks_off_is_named() {
        let error =
            guarded::<()>(Some("remote:a:1"), || panic!("closed\nby the peer")).unwrap_err();
        assert_eq!(error.to_string(), "device remote:a:1: broke off: closed");
        assert_eq!(guarded(Some("remote:a:1"), || Ok(3)).unwrap(), 3);
    }
}
