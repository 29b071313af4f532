//! adasum-gpu without a device, as a WebAssembly module: the plan of a reduction and its steps, for a browser's device.
//!
//! The contract is `ts/src/gpu/web/glue.ts`. Only tables, partial sums and shaders cross the border; vectors stay on
//! the device.

#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

mod dispatch;

use std::sync::Arc;

use adasum_core::dtype::Op;
use adasum_gpu::Error;
use adasum_gpu::layout::Limits;
use adasum_gpu::plan::dispatch::chunk_table;
use adasum_gpu::plan::{self, How, OnNonFinite, Step};
use adasum_gpu::self_test;
use adasum_gpu::shader::{Arithmetic, Element, Kernel};
use adasum_gpu::solve::Solution;
use adasum_wasm_error::{Result, js_error};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use dispatch::PlannedDispatch;

/// An error of a plan as a JavaScript error.
fn to_js(error: Error) -> JsValue {
    js_error(error.code(), &error.message())
}

/// The contract's version.
#[wasm_bindgen]
pub fn abi() -> u32 {
    2
}

#[wasm_bindgen]
pub fn arithmetics() -> Vec<String> {
    Arithmetic::all_ways().map(|arithmetic| arithmetic.name().to_string()).collect()
}

/// The text of the trim kernel.
#[wasm_bindgen(js_name = trimWgsl)]
pub fn trim_wgsl() -> String {
    Kernel::Trim.wgsl(Element::F16, Arithmetic::ALL[0], adasum_gpu::shader::Inputs::Slab)
}

#[wasm_bindgen]
#[derive(Default)]
pub struct Trial {
    inner: self_test::Trial,
}

#[wasm_bindgen]
impl Trial {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn slab(&self) -> Vec<u8> {
        self.inner.slab()
    }

    pub fn dispatches(&self) -> Vec<PlannedDispatch> {
        let limits = Limits { binding_bytes: 0, buffer_bytes: 0, workgroups: u32::MAX, memory_bytes: 0 };
        self.inner.dispatches().iter().map(|planned| PlannedDispatch::new(planned, &limits)).collect()
    }

    #[wasm_bindgen(js_name = isPassed)]
    pub fn is_passed(&mut self, index: usize, bytes: &[u8]) -> bool {
        self.inner.is_passed(index, bytes)
    }

    /// Throws the error for a device that has passed in no arithmetic.
    pub fn refuse(&self, name: &str) -> Result<()> {
        Err(to_js(self.inner.refusal(name)))
    }
}

#[wasm_bindgen]
pub struct Plan {
    inner: Arc<plan::Plan>,
}

#[wasm_bindgen]
impl Plan {
    /// `limits` has four numbers: bytes of a binding, bytes of a buffer, workgroups, bytes of memory.
    #[wasm_bindgen(constructor)]
    pub fn new(
        dtype: f64,
        slot_count: usize,
        segment_element_counts: &[f64],
        limits: &[f64],
        own_bytes: f64,
    ) -> Result<Plan> {
        let counts: Vec<u64> = segment_element_counts.iter().map(|&count| count as u64).collect();
        let limits = Limits {
            binding_bytes: limits[0] as u64,
            buffer_bytes: limits[1] as u64,
            workgroups: limits[2] as u32,
            memory_bytes: limits[3] as u64,
        };
        let plan = Element::from_code(dtype)
            .and_then(|element| plan::Plan::with_own(element, slot_count, &counts, limits, own_bytes as u64));
        plan.map(|plan| Plan { inner: Arc::new(plan) }).map_err(to_js)
    }

    #[wasm_bindgen(getter, js_name = groupCount)]
    pub fn group_count(&self) -> f64 {
        self.inner.layout().group_count() as f64
    }

    /// Two numbers a window: where its groups begin in the vector, and end.
    pub fn windows(&self) -> Vec<f64> {
        self.inner.windows().iter().flat_map(|window| [window.groups.start as f64, window.groups.end as f64]).collect()
    }

    #[wasm_bindgen(js_name = ownSegment)]
    pub fn own_segment(&self, window: usize) -> Option<usize> {
        self.inner.own_segment(window)
    }

    #[wasm_bindgen(js_name = slabBytes)]
    pub fn slab_bytes(&self, window: usize) -> f64 {
        self.inner.slab_bytes(window) as f64
    }

    #[wasm_bindgen(getter, js_name = uploadBytes)]
    pub fn upload_bytes(&self) -> f64 {
        self.inner.upload_bytes() as f64
    }

    #[wasm_bindgen(js_name = chunkTable)]
    pub fn chunk_table(&self, window: usize, batch: usize) -> Vec<u8> {
        chunk_table(&self.inner.windows()[window].batches[batch])
    }

    pub fn gram(&self) -> Vec<PlannedDispatch> {
        self.inner.gram().iter().map(|planned| PlannedDispatch::new(planned, self.inner.limits())).collect()
    }

    pub fn combinations(&self, result_dtype: f64) -> Result<Vec<PlannedDispatch>> {
        let planned = self.inner.combinations(Element::from_code(result_dtype).map_err(to_js)?);
        Ok(planned.iter().map(|planned| PlannedDispatch::new(planned, self.inner.limits())).collect())
    }

    /// `dtype` is that of a vector that overwrites the slot; undefined for one that is added to it.
    pub fn parts(&self, slot: usize, dtype: Option<f64>, begin: f64, end: f64) -> Result<Vec<Part>> {
        let how = dtype.map_or(Ok(How::Add), |dtype| Element::from_code(dtype).map(How::Overwrite)).map_err(to_js)?;
        let parts = self.inner.parts(slot, how, begin as u64..end as u64).map_err(to_js)?;
        Ok(parts.into_iter().map(|inner| Part { inner, limits: *self.inner.limits() }).collect())
    }

    /// Five numbers a stretch: its segment, the index of its first element in the segment, the index in the vector, its
    /// element count, and the index of its first element on the device, counted from the first group's.
    pub fn stretches(&self, begin: f64, end: f64) -> Vec<f64> {
        let stretches = self.inner.layout().stretches(begin as u64..end as u64);
        let numbers = stretches.flat_map(|stretch| {
            [
                stretch.segment as u64,
                stretch.segment_element,
                stretch.first_element,
                stretch.element_count,
                stretch.device_element,
            ]
        });
        numbers.map(|number| number as f64).collect()
    }
}

#[wasm_bindgen]
pub struct Part {
    inner: plan::Part,
    limits: Limits,
}

#[wasm_bindgen]
impl Part {
    #[wasm_bindgen(getter)]
    pub fn window(&self) -> usize {
        self.inner.window
    }

    #[wasm_bindgen(getter)]
    pub fn begin(&self) -> f64 {
        self.inner.groups.start as f64
    }

    #[wasm_bindgen(getter)]
    pub fn end(&self) -> f64 {
        self.inner.groups.end as f64
    }

    #[wasm_bindgen(getter, js_name = firstGroup)]
    pub fn first_group(&self) -> f64 {
        self.inner.first_group as f64
    }

    pub fn dispatch(&self) -> Option<PlannedDispatch> {
        self.inner.dispatch.as_ref().map(|planned| PlannedDispatch::new(planned, &self.limits))
    }
}

#[wasm_bindgen]
pub struct Reduction {
    inner: plan::Reduction,
    plan: Arc<plan::Plan>,
    factors: Vec<Vec<u8>>,
    solution: Solution,
}

#[wasm_bindgen]
impl Reduction {
    #[wasm_bindgen(constructor)]
    pub fn new(plan: &Plan, op: f64, on_non_finite: f64, result_dtype: f64) -> Result<Reduction> {
        let inner = Op::from_code(op).map_err(Into::into).and_then(|op| {
            let (policy, result) = (OnNonFinite::from_code(on_non_finite)?, Element::from_code(result_dtype)?);
            plan::Reduction::new(plan.inner.clone(), op, policy, result)
        });
        let (plan, factors, solution) = (plan.inner.clone(), Vec::new(), Solution::default());
        inner.map(|inner| Self { inner, plan, factors, solution }).map_err(to_js)
    }

    /// 0: dispatch the plan's Gram kernels; 1: dispatch `dispatches`; 2: write `factors`, and dispatch the plan's
    /// combinations.
    pub fn step(&mut self) -> Result<u32> {
        Ok(match self.inner.step().map_err(to_js)? {
            Step::Gram => 0,
            Step::SegmentSums => 1,
            Step::Combine(factors) => {
                self.factors = factors;
                self.solution = self.inner.solution();
                2
            }
        })
    }

    pub fn dispatches(&self) -> Vec<PlannedDispatch> {
        self.inner.dispatches().iter().map(|planned| PlannedDispatch::new(planned, self.plan.limits())).collect()
    }

    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        self.inner.add(index, bytes);
    }

    /// The factors of a batch; `index` is that of its combination in the plan.
    pub fn factors(&self, index: usize) -> Vec<u8> {
        self.factors[index].clone()
    }

    #[wasm_bindgen(getter)]
    pub fn orthogonality(&self) -> Vec<f64> {
        self.solution.orthogonality.clone()
    }

    #[wasm_bindgen(getter)]
    pub fn coefficients(&self) -> Vec<f64> {
        self.solution.coefficients.clone()
    }

    #[wasm_bindgen(getter, js_name = nonFinite)]
    pub fn non_finite(&self) -> Vec<u32> {
        self.inner.non_finite().iter().map(|&slot| slot as u32).collect()
    }
}
