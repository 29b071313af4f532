//! The adapters of this machine, and the choice of the one to use.

use std::sync::OnceLock;

use crate::error::{Error, Result, caught};

/// The environment variable that chooses an adapter by a part of its name, unless the caller names one.
pub const ADAPTER_VARIABLE: &str = "ADASUM_GPU_ADAPTER";

/// An adapter's properties, which are known before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Its index in the list, by which a caller can name it.
    pub index: usize,
    /// The name that its driver gives it.
    pub name: String,
    /// The interface it is reached by: `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` (a software renderer) or `other`.
    pub kind: &'static str,
    /// Name and version of the driver, as far as the driver reports them.
    pub driver: String,
    /// Most bytes of a buffer.
    pub max_buffer_bytes: u64,
    /// Most bytes of a storage binding.
    pub max_binding_bytes: u64,
    /// Most workgroups of a dispatch.
    pub max_workgroups: u32,
    /// Fewest and most threads of a subgroup, if shaders can use subgroups.
    pub subgroup_threads: Option<[u32; 2]>,
    /// Whether it is used unless another is named.
    pub is_default: bool,
}

impl AdapterSummary {
    /// Whether it computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.kind == "cpu"
    }
}

/// All adapters of this machine, in the order in which their drivers list them.
///
/// # Errors
/// [`Error::Internal`] if the graphics library fails.
pub fn adapters() -> Result<Vec<AdapterSummary>> {
    caught(|| Ok(summaries(&enumerate())))
}

/// The adapters as wgpu's own objects.
pub(crate) fn enumerate() -> Vec<wgpu::Adapter> {
    pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()))
}

fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()))
}

pub(crate) fn summaries(adapters: &[wgpu::Adapter]) -> Vec<AdapterSummary> {
    let mut summaries: Vec<_> = adapters.iter().enumerate().map(|(index, adapter)| summary(index, adapter)).collect();
    let best =
        summaries.iter().min_by_key(|summary| (speed_order(summary.kind), summary.index)).map(|summary| summary.index);
    for summary in &mut summaries {
        summary.is_default = Some(summary.index) == best;
    }
    summaries
}

fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let has_subgroups = adapter.features().contains(wgpu::Features::SUBGROUP);
    let driver = [info.driver.as_str(), info.driver_info.as_str()];
    AdapterSummary {
        index,
        name: info.name,
        backend: info.backend.to_str().to_string(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        },
        driver: driver.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        subgroup_threads: has_subgroups.then_some([info.subgroup_min_size, info.subgroup_max_size]),
        is_default: false,
    }
}

/// An adapter's speed by its kind: a lower number is faster, as a rule.
fn speed_order(kind: &str) -> usize {
    ["discrete", "integrated", "virtual", "other", "cpu"].iter().position(|&known| known == kind).unwrap_or(5)
}

/// The index of the adapter to open: the one named by the caller, else by the environment, else the default.
pub(crate) fn choose(summaries: &[AdapterSummary], index: Option<usize>) -> Result<usize> {
    let names = || summaries.iter().map(|adapter| adapter.name.as_str()).collect::<Vec<_>>().join(", ");
    if summaries.is_empty() {
        return Err(Error::Unsupported(
            "there is no adapter on this machine: 0 found. Install a Vulkan, Metal or DX12 driver, or use the CPU."
                .to_string(),
        ));
    }
    if let Some(index) = index {
        return summaries.get(index).map(|adapter| adapter.index).ok_or_else(|| {
            Error::Argument(format!("there is no adapter {index}; there are {}: {}.", summaries.len(), names()))
        });
    }
    if let Some(part) = std::env::var(ADAPTER_VARIABLE).ok().filter(|part| !part.is_empty()) {
        let named = summaries.iter().find(|adapter| adapter.name.to_lowercase().contains(&part.to_lowercase()));
        return named.map(|adapter| adapter.index).ok_or_else(|| {
            Error::Unsupported(format!(
                "{ADAPTER_VARIABLE} is {part}, and the adapters are {}. Name one of them.",
                names()
            ))
        });
    }
    Ok(summaries.iter().find(|adapter| adapter.is_default).map_or(0, |adapter| adapter.index))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a refusal is a failure here")]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<AdapterSummary> {
        let summary = |(index, name): (usize, &&str)| AdapterSummary {
            index,
            name: name.to_string(),
            backend: "vulkan".to_string(),
            kind: "discrete",
            driver: String::new(),
            max_buffer_bytes: 1,
            max_binding_bytes: 1,
            max_workgroups: 1,
            subgroup_threads: None,
            is_default: index == 1,
        };
        names.iter().enumerate().map(summary).collect()
    }

    #[test]
    fn by_index_or_the_default_or_none() {
        assert_eq!(choose(&[], None).unwrap_err().code(), "ERR_UNSUPPORTED");
        assert_eq!(choose(&named(&["a", "b"]), Some(0)), Ok(0));
        assert_eq!(choose(&named(&["a", "b"]), Some(2)).unwrap_err().code(), "ERR_ARGUMENT");
    }
}
