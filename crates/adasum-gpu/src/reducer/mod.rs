//! Slots on a device, and their reduction.
//!
//! A reducer has k slots for vectors of one layout. They stay on the device: the host writes or accumulates into them, reduces
//! as often as it likes, and reads the result. All memory but small tables is made once, when the reducer is.
//!
//! ```text
//! write, accumulate -> slabs -> gram -> partial sums -> host: f64, coefficients -> combine -> results -> read
//! ```

mod combination;
mod slots;
mod timing;

use std::sync::Arc;

use adasum_core::dtype::Op;

use crate::dispatch::{filled, storage};
use crate::error::{Result, caught};
use crate::gpu::Gpu;
use crate::layout::Layout;
use crate::partials::{Sums, run};
use crate::plan::run::{PARTIAL_BYTES, chunk_table};
use crate::plan::{self, OnNonFinite, Plan, Step};
use crate::shader::Element;
use crate::solve::Solution;
use combination::Results;

pub use timing::time_copy;

/// What a reduction has found; the result itself stays on the device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduction {
    /// Of `Op::Adasum` only: see there.
    pub solution: Solution,
    /// Slots that are not finite. Empty if nothing was looked at.
    pub non_finite: Vec<usize>,
}

/// Slots for k vectors on a device.
pub struct GpuReducer {
    gpu: Gpu,
    plan: Arc<Plan>,
    windows: Vec<DeviceWindow>,
    /// In the order of [`Plan::gram`].
    gram: Vec<Sums>,
    results: Option<Results>,
    /// What was read back last, in the device's order.
    fetched: Vec<u8>,
    scratch: Vec<u8>,
    upload: Option<wgpu::Buffer>,
}

/// A window's memory.
struct DeviceWindow {
    slab: wgpu::Buffer,
    batches: Vec<DeviceBatch>,
}

struct DeviceBatch {
    chunks: wgpu::Buffer,
    /// The coefficients, one row a segment of the batch.
    factors: wgpu::Buffer,
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
            for run in plan.gram() {
                let window = &windows[run.window];
                let chunks = run.batch.map(|batch| &window.batches[batch].chunks);
                gram.push(Sums::new(gpu, run, &window.slab, chunks)?);
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

    /// Combines all slots; `result` is the dtype in which the result is stored: the slots' own, or f32.
    ///
    /// # Errors
    /// [`crate::Error::NonFinite`] if the policy is to throw; [`crate::Error::Unsupported`] for coefficients beyond f32;
    /// [`crate::Error::DeviceLost`], [`crate::Error::OutOfMemory`].
    pub fn reduce(&mut self, op: Op, on_non_finite: OnNonFinite, result: Element) -> Result<Reduction> {
        caught(|| {
            let mut reduction = plan::Reduction::new(self.plan.clone(), op, on_non_finite, result)?;
            loop {
                let step = reduction.step()?;
                if let Step::Combine(factors) = step {
                    self.combine(&factors, result)?;
                    let non_finite = reduction.non_finite().to_vec();
                    return Ok(Reduction { solution: reduction.solution(), non_finite });
                }
                self.measure(&step, &mut reduction)?;
            }
        })
    }

    /// Runs what a step asks for, and adds what it gives.
    fn measure(&self, step: &Step, reduction: &mut plan::Reduction) -> Result<()> {
        if *step == Step::Gram {
            return run(&self.gpu, &self.gram.iter().collect::<Vec<_>>(), |index, bytes| reduction.add(index, bytes));
        }
        let sums = reduction.runs().iter().map(|run| Sums::new(&self.gpu, run, &self.windows[run.window].slab, None));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        run(&self.gpu, &sums.iter().collect::<Vec<_>>(), |index, bytes| reduction.add(index, bytes))
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
