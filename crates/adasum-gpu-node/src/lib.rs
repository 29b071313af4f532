//! adasum-gpu as a Node.js addon: every function is a few lines into it.
//!
//! The contract is `ts/src/gpu/gpu-binding.ts`. Functions that may wait for a device return a promise. Functions that
//! only copy work on the main thread, where nobody can take the memory away meanwhile; callers copy in parts so short
//! that the event loop is not held up.

#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

mod work;

use std::sync::Arc;

use adasum_core::dtype::Op;
use adasum_gpu::shader::Element;
use adasum_gpu::{AdapterSummary, Error, Gpu, GpuReducer, OnNonFinite, Options, Reduction};
use napi::bindgen_prelude::{AsyncTask, Float64Array, Uint8Array};
use napi_derive::napi;

use work::{Exclusive, Job, Result, job, to_js};

/// The contract's version.
#[napi]
pub fn abi() -> u32 {
    1
}

#[cfg(feature = "panics")]
#[napi]
pub fn panic_on_the_pool() -> AsyncTask<Job<(), ()>> {
    job(|| panic!("on the pool"), |()| ())
}

#[cfg(feature = "panics")]
#[napi(catch_unwind)]
pub fn panic_on_the_main_thread() {
    panic!("on the main thread")
}

#[napi(object)]
pub struct AdapterRecord {
    pub index: u32,
    pub name: String,
    pub backend: String,
    pub kind: String,
    pub driver: String,
    pub max_buffer_bytes: f64,
    pub max_binding_bytes: f64,
    pub max_workgroups: u32,
    pub is_default: bool,
}

fn record(summary: AdapterSummary) -> AdapterRecord {
    AdapterRecord {
        index: summary.index as u32,
        name: summary.name,
        backend: summary.backend,
        kind: summary.kind.to_string(),
        driver: summary.driver,
        max_buffer_bytes: summary.max_buffer_bytes as f64,
        max_binding_bytes: summary.max_binding_bytes as f64,
        max_workgroups: summary.max_workgroups,
        is_default: summary.is_default,
    }
}

#[napi]
pub fn adapters() -> AsyncTask<Job<Vec<AdapterSummary>, Vec<AdapterRecord>>> {
    job(adasum_gpu::adapters, |adapters| adapters.into_iter().map(record).collect())
}

#[napi]
pub fn open_device(adapter: Option<u32>, memory_bytes: Option<f64>) -> AsyncTask<Job<Gpu, Device>> {
    let adapter = adapter.map(|index| index as usize);
    let memory_bytes = memory_bytes.map(|bytes| bytes as u64);
    job(move || Gpu::open(&Options { adapter, memory_bytes, ..Options::default() }), |gpu| Device { gpu })
}

#[napi]
pub struct Device {
    gpu: Gpu,
}

#[napi]
impl Device {
    #[napi]
    pub fn adapter(&self) -> AdapterRecord {
        record(self.gpu.summary().clone())
    }

    #[napi]
    pub fn arithmetic(&self) -> &'static str {
        self.gpu.arithmetic().name()
    }

    #[napi]
    pub fn destroy(&self) {
        self.gpu.destroy();
    }

    #[napi]
    pub fn make_reducer(
        &self,
        dtype: f64,
        slot_count: u32,
        segment_element_counts: Float64Array,
    ) -> AsyncTask<Job<GpuReducer, Reducer>> {
        let gpu = self.gpu.clone();
        let counts: Vec<u64> = segment_element_counts.iter().map(|&count| count as u64).collect();
        job(
            move || GpuReducer::new(&gpu, Element::from_code(dtype)?, slot_count as usize, &counts),
            |reducer| Reducer { inner: Arc::new(Exclusive::new(reducer)) },
        )
    }
}

#[napi(object)]
pub struct ReductionRecord {
    pub orthogonality: Float64Array,
    pub coefficients: Float64Array,
    pub non_finite: Vec<u32>,
}

fn reduction_record(reduction: Reduction) -> ReductionRecord {
    ReductionRecord {
        orthogonality: Float64Array::new(reduction.solution.orthogonality),
        coefficients: Float64Array::new(reduction.solution.coefficients),
        non_finite: reduction.non_finite.into_iter().map(|slot| slot as u32).collect(),
    }
}

#[napi]
pub struct Reducer {
    inner: Arc<Exclusive<GpuReducer>>,
}

#[napi]
impl Reducer {
    #[napi(catch_unwind)]
    pub fn group_count(&self) -> Result<f64> {
        self.now(|reducer| Ok(reducer.layout().group_count() as f64))
    }

    #[napi(catch_unwind)]
    pub fn write_groups(&self, slot: u32, dtype: f64, vector: &[u8], begin: f64, end: f64) -> Result<()> {
        self.now(|reducer| {
            reducer.write_groups(slot as usize, Element::from_code(dtype)?, vector, begin as u64..end as u64)
        })
    }

    #[napi(catch_unwind)]
    pub fn accumulate_groups(&self, slot: u32, vector: &[u8], begin: f64, end: f64) -> Result<()> {
        self.now(|reducer| reducer.accumulate_groups(slot as usize, vector, begin as u64..end as u64))
    }

    #[napi]
    pub fn reduce(&self, op: f64, on_non_finite: f64, result_dtype: f64) -> AsyncTask<Job<Reduction, ReductionRecord>> {
        let inner = self.inner.clone();
        let call = move || {
            let (op, policy, result) =
                (Op::from_code(op)?, OnNonFinite::from_code(on_non_finite)?, Element::from_code(result_dtype)?);
            with(inner.wait().as_mut(), |reducer| reducer.reduce(op, policy, result))
        };
        job(call, reduction_record)
    }

    #[napi]
    pub fn fetch(&self) -> AsyncTask<Job<(), ()>> {
        let inner = self.inner.clone();
        job(move || with(inner.wait().as_mut(), GpuReducer::fetch), |()| ())
    }

    #[napi(catch_unwind)]
    pub fn copy_result(&self, begin: f64, end: f64, mut out: Uint8Array) -> Result<()> {
        // SAFETY: JavaScript does not run during this call, and the contract gives `out` memory of its own.
        let out = unsafe { out.as_mut() };
        self.now(|reducer| reducer.copy_result(begin as u64..end as u64, out))
    }

    #[napi]
    pub fn release(&self) -> AsyncTask<Job<(), ()>> {
        let inner = self.inner.clone();
        let call = move || {
            drop(inner.wait().take());
            Ok(())
        };
        job(call, |()| ())
    }

    fn now<T>(&self, call: impl FnOnce(&mut GpuReducer) -> adasum_gpu::Result<T>) -> Result<T> {
        with(self.inner.now()?.as_mut(), call).map_err(|error| to_js(&error))
    }
}

fn with<T>(
    reducer: Option<&mut GpuReducer>,
    call: impl FnOnce(&mut GpuReducer) -> adasum_gpu::Result<T>,
) -> adasum_gpu::Result<T> {
    call(reducer.ok_or_else(|| Error::Argument("the reducer was released. Make another one.".to_string()))?)
}
