//! A reducer, and the buffers that it has on the device.

use std::sync::Arc;

use super::results::Results;
use crate::dispatch::{filled, storage};
use crate::error::{Result, caught};
use crate::gpu::Gpu;
use crate::layout::Layout;
use crate::partials::Sums;
use crate::plan::Plan;
use crate::plan::dispatch::{PARTIAL_BYTES, chunk_table};
use crate::shader::Element;

/// Slots for k vectors on a device.
pub struct GpuReducer {
    pub(super) gpu: Gpu,
    pub(super) plan: Arc<Plan>,
    pub(super) windows: Vec<DeviceWindow>,
    /// In the order of [`Plan::gram`].
    pub(super) gram: Vec<Sums>,
    pub(super) results: Option<Results>,
    /// The result that was read back last, in the device's order of elements.
    pub(super) fetched: Vec<u8>,
    pub(super) scratch: Vec<u8>,
    pub(super) upload: Option<wgpu::Buffer>,
}

/// A window's buffers.
pub(super) struct DeviceWindow {
    pub(super) slab: wgpu::Buffer,
    pub(super) batches: Vec<DeviceBatch>,
}

pub(super) struct DeviceBatch {
    pub(super) chunks: wgpu::Buffer,
    /// The coefficients, one row a segment of the batch.
    pub(super) factors: wgpu::Buffer,
}

impl GpuReducer {
    /// Room for `slot_count` vectors, all zero, of segments with these element counts.
    ///
    /// # Errors
    /// Those of [`Plan::new`]; [`crate::Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, element: Element, slot_count: usize, segment_element_counts: &[u64]) -> Result<Self> {
        caught(|| {
            let plan = Plan::new(element, slot_count, segment_element_counts, *gpu.limits())?;
            let mut windows = Vec::with_capacity(plan.windows().len());
            for index in 0..plan.windows().len() {
                windows.push(DeviceWindow::new(gpu, &plan, index)?);
            }
            let mut gram = Vec::with_capacity(plan.gram().len());
            for planned in plan.gram() {
                let window = &windows[planned.window];
                let chunks = planned.batch.map(|batch| &window.batches[batch].chunks);
                gram.push(Sums::new(gpu, planned, &window.slab, chunks)?);
            }
            let (gpu, plan) = (gpu.clone(), Arc::new(plan));
            let (results, fetched, scratch, upload) = (None, Vec::new(), Vec::new(), None);
            Ok(Self { gpu, plan, windows, gram, results, fetched, scratch, upload })
        })
    }

    /// The segments.
    pub fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.plan.slot_count()
    }

    /// What the slots hold.
    pub fn element(&self) -> Element {
        self.plan.element()
    }

    /// How many buffers the slots lie in.
    pub fn window_count(&self) -> usize {
        self.windows.len()
    }
}

impl DeviceWindow {
    fn new(gpu: &Gpu, plan: &Plan, index: usize) -> Result<Self> {
        let slab = storage(gpu, plan.slab_bytes(index))?;
        let mut batches = Vec::new();
        for batch in &plan.windows()[index].batches {
            let chunks = filled(gpu, &chunk_table(batch))?;
            let factors = storage(gpu, (batch.rows.len() * plan.slot_count()) as u64 * PARTIAL_BYTES)?;
            batches.push(DeviceBatch { chunks, factors });
        }
        Ok(Self { slab, batches })
    }
}
