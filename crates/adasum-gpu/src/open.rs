//! Opening a device: its adapter, its limits, and the trial that chooses its arithmetic.

use crate::adapter::{AdapterSummary, choose, enumerate, summaries};
use crate::dispatch::filled;
use crate::error::{Error, Result, caught};
use crate::gpu::Gpu;
use crate::layout::Limits;
use crate::partials::{self, Sums};
use crate::self_test::Trial;
use crate::shader::Arithmetic;

/// How a device is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Index into [`crate::adapters`]; else `ADASUM_GPU_ADAPTER`, else the fastest kind.
    pub adapter: Option<usize>,
    /// Bytes of a storage binding, if fewer than the adapter allows.
    pub binding_bytes: Option<u64>,
    /// Workgroups of a dispatch, if fewer than the adapter allows.
    pub workgroups: Option<u32>,
    /// Bytes that one reducer may allocate on the device. Default: as many as there are.
    pub memory_bytes: Option<u64>,
    /// Leaves subgroups unused where the adapter has them.
    pub without_subgroups: bool,
}

impl Gpu {
    /// Opens an adapter with the limits it has, and finds out by what arithmetic it keeps exact sums.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no adapter, or none that keeps exact sums; [`Error::Argument`] for an index
    /// that no adapter has.
    pub fn open(options: &Options) -> Result<Self> {
        caught(|| {
            let adapters = enumerate();
            let summaries = summaries(&adapters);
            let index = choose(&summaries, options.adapter)?;
            let (device, queue) = request(&adapters[index], options)?;
            let limits = limits(&summaries[index], options);
            let gpu = Self::new(device, queue, summaries[index].clone(), limits);
            gpu.choose_arithmetic()?;
            Ok(gpu)
        })
    }

    /// The first arithmetic that keeps sums exact, by subgroups if that does, too.
    fn choose_arithmetic(&self) -> Result<()> {
        let mut trial = Trial::default();
        let slab = filled(self, &trial.slab())?;
        for arithmetic in Arithmetic::ALL {
            if self.keeps_exact(&mut trial, &slab, arithmetic)? {
                // Subgroups are a matter of speed: a device that fails with them, in whatever way, goes on without.
                let by_subgroups = arithmetic.with_subgroups();
                if !self.has_subgroups() || !self.keeps_exact(&mut trial, &slab, by_subgroups).unwrap_or(false) {
                    self.set_arithmetic(arithmetic);
                }
                return Ok(());
            }
        }
        Err(trial.refusal(&self.summary().name))
    }

    /// Whether sums are exact in this arithmetic, which the device keeps afterwards.
    fn keeps_exact(&self, trial: &mut Trial, slab: &wgpu::Buffer, arithmetic: Arithmetic) -> Result<bool> {
        self.set_arithmetic(arithmetic);
        let sums = trial.dispatches().iter().map(|planned| Sums::new(self, planned, slab, None));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        let mut is_passed = true;
        partials::compute(self, &sums.iter().collect::<Vec<_>>(), |index, bytes| {
            is_passed &= trial.is_passed(index, bytes);
        })?;
        Ok(is_passed)
    }
}

/// Requests all that the adapter allows, or the caller if that is less: then the library itself refuses what is beyond.
fn request(adapter: &wgpu::Adapter, options: &Options) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut required_limits = adapter.limits();
    if let Some(bytes) = options.binding_bytes {
        required_limits.max_storage_buffer_binding_size = bytes.min(required_limits.max_storage_buffer_binding_size);
    }
    if let Some(workgroups) = options.workgroups {
        required_limits.max_compute_workgroups_per_dimension =
            workgroups.min(required_limits.max_compute_workgroups_per_dimension);
    }
    let features = if options.without_subgroups { wgpu::Features::empty() } else { wgpu::Features::SUBGROUP };
    let required_features = adapter.features() & features;
    let descriptor =
        wgpu::DeviceDescriptor { label: Some("adasum"), required_features, required_limits, ..Default::default() };
    pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| {
        Error::Unsupported(format!(
            "{} cannot be opened: {error}. Use another adapter, or the CPU.",
            adapter.get_info().name
        ))
    })
}

/// What the adapter allows, or the caller does if that is less.
fn limits(summary: &AdapterSummary, options: &Options) -> Limits {
    Limits {
        binding_bytes: summary.max_binding_bytes.min(options.binding_bytes.unwrap_or(u64::MAX)),
        buffer_bytes: summary.max_buffer_bytes,
        workgroups: summary.max_workgroups.min(options.workgroups.unwrap_or(u32::MAX)),
        memory_bytes: options.memory_bytes.unwrap_or(u64::MAX),
    }
}
