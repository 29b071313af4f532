//! adasum-core as a Node.js addon: every function is one line into the core.
//!
//! The contract is `ts/src/binding/binding.ts`. Checks on arguments stand in the core; this crate only finds out where a
//! typed array's memory is ([`memory`]) and how an error or a task crosses the border ([`work`]). Results of at most a few
//! hundred numbers are copied into new arrays, vectors never are. [`shared_memory`] has a contract of its own.

#![expect(clippy::too_many_arguments, reason = "the contract's order of arguments")]
#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

mod memory;
pub mod shared_memory;
mod work;

use adasum_core::Engine;
use adasum_core::entry::{self, Results};
use napi::bindgen_prelude::{AsyncTask, Float64Array};
use napi_derive::napi;

use memory::{Bytes, Doubles, Kept, List};
use work::{Result, Work, to_js, work};

/// The contract's version.
#[napi]
pub fn abi() -> u32 {
    6
}

/// Name of the instruction set in use.
#[napi(catch_unwind)]
pub fn isa() -> Result<&'static str> {
    Engine::active().map(Engine::isa).map_err(to_js)
}

/// Names of all instruction sets this CPU can run.
#[napi(catch_unwind)]
pub fn isas() -> Vec<&'static str> {
    Engine::available().map(Engine::isa).collect()
}

#[napi(catch_unwind)]
pub fn has_non_finite(dtype: f64, input: Bytes, segment_element_counts: Doubles) -> Result<bool> {
    Engine::active()
        .and_then(|core| core.has_non_finite(dtype, input.read(), segment_element_counts.read()))
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn node_count(pieces: Doubles) -> Result<f64> {
    entry::node_count(pieces.read()).map_err(to_js)
}

#[napi(catch_unwind)]
pub fn gram_finish(
    segment_element_count: f64,
    runs: Doubles,
    nodes: Doubles,
    product_count: f64,
) -> Result<Float64Array> {
    entry::gram_finish(segment_element_count, runs.read(), nodes.read(), product_count)
        .map(Float64Array::new)
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn coefficients(dtype: f64, weights: Doubles, gram: Doubles, refinements: Doubles) -> Result<Float64Array> {
    entry::balanced_coefficients(dtype, weights.read(), gram.read(), refinements.read())
        .map(Float64Array::new)
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn reduce(
    op: f64,
    dtype: f64,
    result_dtype: f64,
    inputs: List<Bytes>,
    weights: Doubles,
    pieces: Doubles,
    out: Bytes,
    nodes: Doubles,
    stats: Doubles,
) -> Result<()> {
    let results = Results { out: out.write(), nodes: nodes.write(), stats: stats.write() };
    Engine::active()
        .and_then(|core| core.reduce(op, dtype, result_dtype, &inputs.read(), weights.read(), pieces.read(), results))
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn gram(dtype: f64, inputs: List<Bytes>, pieces: Doubles, nodes: Doubles) -> Result<()> {
    Engine::active().and_then(|core| core.gram(dtype, &inputs.read(), pieces.read(), nodes.write())).map_err(to_js)
}

#[napi(catch_unwind)]
pub fn refine(dtype: f64, inputs: List<Bytes>, vectors: Doubles, pieces: Doubles, nodes: Doubles) -> Result<()> {
    Engine::active()
        .and_then(|core| core.refine(dtype, &inputs.read(), vectors.read(), pieces.read(), nodes.write()))
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn combine(
    dtype: f64,
    result_dtype: f64,
    inputs: List<Bytes>,
    element_counts: Doubles,
    coefficients: Doubles,
    out: Bytes,
) -> Result<()> {
    Engine::active()
        .and_then(|core| {
            core.combine(dtype, result_dtype, &inputs.read(), element_counts.read(), coefficients.read(), out.write())
        })
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn fold(op: f64, dtype: f64, inputs: List<Bytes>, out: Bytes) -> Result<()> {
    Engine::active().and_then(|core| core.fold(op, dtype, &inputs.read(), out.write())).map_err(to_js)
}

#[napi(catch_unwind)]
pub fn copy(from: Bytes, to: Bytes) -> Result<()> {
    entry::copy(from.read(), to.write()).map_err(to_js)
}

#[napi(catch_unwind)]
pub fn quantize(
    format: f64,
    block_element_count: f64,
    input: Bytes,
    element_counts: Doubles,
    residual: Bytes,
    codes: Bytes,
) -> Result<()> {
    let (input, counts) = (input.read(), element_counts.read());
    Engine::active()
        .and_then(|core| core.quantize(format, block_element_count, input, counts, residual.write(), codes.write()))
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn dequantize(
    format: f64,
    block_element_count: f64,
    codes: Bytes,
    element_counts: Doubles,
    out: Bytes,
) -> Result<()> {
    Engine::active()
        .and_then(|core| core.dequantize(format, block_element_count, codes.read(), element_counts.read(), out.write()))
        .map_err(to_js)
}

#[napi]
pub fn reduce_async(
    op: f64,
    dtype: f64,
    result_dtype: f64,
    inputs: List<Kept<Bytes>>,
    weights: Kept<Doubles>,
    pieces: Kept<Doubles>,
    out: Kept<Bytes>,
    nodes: Kept<Doubles>,
    stats: Kept<Doubles>,
) -> AsyncTask<Work> {
    work(move || {
        let results = Results { out: out.write(), nodes: nodes.write(), stats: stats.write() };
        Engine::active()?.reduce(op, dtype, result_dtype, &inputs.read(), weights.read(), pieces.read(), results)
    })
}

#[napi]
pub fn gram_async(
    dtype: f64,
    inputs: List<Kept<Bytes>>,
    pieces: Kept<Doubles>,
    nodes: Kept<Doubles>,
) -> AsyncTask<Work> {
    work(move || Engine::active()?.gram(dtype, &inputs.read(), pieces.read(), nodes.write()))
}

#[napi]
pub fn refine_async(
    dtype: f64,
    inputs: List<Kept<Bytes>>,
    vectors: Kept<Doubles>,
    pieces: Kept<Doubles>,
    nodes: Kept<Doubles>,
) -> AsyncTask<Work> {
    work(move || Engine::active()?.refine(dtype, &inputs.read(), vectors.read(), pieces.read(), nodes.write()))
}

#[napi]
pub fn combine_async(
    dtype: f64,
    result_dtype: f64,
    inputs: List<Kept<Bytes>>,
    element_counts: Kept<Doubles>,
    coefficients: Kept<Doubles>,
    out: Kept<Bytes>,
) -> AsyncTask<Work> {
    work(move || {
        Engine::active()?.combine(
            dtype,
            result_dtype,
            &inputs.read(),
            element_counts.read(),
            coefficients.read(),
            out.write(),
        )
    })
}

#[napi]
pub fn fold_async(op: f64, dtype: f64, inputs: List<Kept<Bytes>>, out: Kept<Bytes>) -> AsyncTask<Work> {
    work(move || Engine::active()?.fold(op, dtype, &inputs.read(), out.write()))
}

#[napi]
pub fn quantize_async(
    format: f64,
    block_element_count: f64,
    input: Kept<Bytes>,
    element_counts: Kept<Doubles>,
    residual: Kept<Bytes>,
    codes: Kept<Bytes>,
) -> AsyncTask<Work> {
    work(move || {
        let (input, counts) = (input.read(), element_counts.read());
        Engine::active()?.quantize(format, block_element_count, input, counts, residual.write(), codes.write())
    })
}

#[napi]
pub fn dequantize_async(
    format: f64,
    block_element_count: f64,
    codes: Kept<Bytes>,
    element_counts: Kept<Doubles>,
    out: Kept<Bytes>,
) -> AsyncTask<Work> {
    work(move || {
        Engine::active()?.dequantize(format, block_element_count, codes.read(), element_counts.read(), out.write())
    })
}
