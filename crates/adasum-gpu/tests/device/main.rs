//! The shaders on a device, against adasum-core. Every adapter of this machine is tested; `ADASUM_GPU_ADAPTER` names one, and
//! `ADASUM_REQUIRE_GPU=1` makes it a failure if there is none.

#![expect(clippy::unwrap_used, reason = "a refusal is a failure here")]

#[path = "../../../adasum-core/tests/all/common/mod.rs"]
mod common;
mod compare;
mod failures;
mod limits;
mod numerics;
mod slots;
#[path = "../twin/mod.rs"]
mod twin;

use std::io::Write;
use std::sync::OnceLock;

use adasum_gpu::{AdapterSummary, Gpu, Options, adapters};

/// The devices to test, opened once. Says which, or that there is none.
pub fn devices() -> &'static [Gpu] {
    static DEVICES: OnceLock<Vec<Gpu>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let devices: Vec<Gpu> = chosen().iter().flat_map(variants).collect();
        let is_required = std::env::var("ADASUM_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!devices.is_empty() || !is_required, "ADASUM_REQUIRE_GPU is 1, and this machine has no adapter");
        if devices.is_empty() {
            say("skipped: shaders on a device (this machine has no adapter)");
        }
        for gpu in &devices {
            let AdapterSummary { name, backend, driver, .. } = gpu.summary();
            say(&format!("covered: GPU adapter {name} ({backend}, {driver}), arithmetic {}", gpu.arithmetic().name()));
        }
        devices
    })
}

/// The adapter as it is opened, and if that adds up by subgroups, without them, too.
fn variants(adapter: &AdapterSummary) -> Vec<Gpu> {
    let gpu = open(adapter, Options::default());
    let plain = gpu.arithmetic().by_subgroups.then(|| open(adapter, without_subgroups()));
    std::iter::once(gpu).chain(plain).collect()
}

/// How an adapter is opened that is to add up by memory alone.
pub fn without_subgroups() -> Options {
    Options { without_subgroups: true, ..Options::default() }
}

fn chosen() -> Vec<AdapterSummary> {
    let part = std::env::var("ADASUM_GPU_ADAPTER").unwrap_or_default().to_lowercase();
    adapters().unwrap().into_iter().filter(|adapter| adapter.name.to_lowercase().contains(&part)).collect()
}

/// The same adapter, with other limits.
pub fn open(adapter: &AdapterSummary, options: Options) -> Gpu {
    Gpu::open(&Options { adapter: Some(adapter.index), ..options }).unwrap()
}

/// A line on stderr, at once. Not through a macro: the test harness would swallow it when all is well.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).ok();
}
