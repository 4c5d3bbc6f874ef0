//! Any config of a network or scheduler is understood or refused, and one that is understood gives a schedule or an error.
#![no_main]

use ip2p::SamplerKind;
use ip2p::models::{clip::CLIPTextConfig, taesd::AutoencoderTinyConfig, unet::UNet2DConditionConfig, vae::AutoencoderConfig};
use ip2p::sched::SchedulerConfig;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = CLIPTextConfig::from_json(text);
    let _ = UNet2DConditionConfig::from_json(text);
    let _ = AutoencoderConfig::from_json(text);
    let _ = AutoencoderTinyConfig::from_json(text);
    if let Ok(config) = SchedulerConfig::from_json(text) {
        for sampler in SamplerKind::ALL {
            let _ = config.schedule(sampler, 7);
        }
    }
});
