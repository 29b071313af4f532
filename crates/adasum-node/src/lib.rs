//! adasum-core as a Node.js addon: every function is one line into the core.
//!
//! The contract is `ts/src/binding/binding.ts`. The core checks the arguments. This crate only finds the memory of
//! typed arrays ([`typed_array`]), and passes errors and off-thread work across the border ([`work`]). Results of at
//! most a few hundred numbers are copied into new arrays, vectors never are. [`shared_memory`] has a contract of its
//! own.

#![expect(clippy::too_many_arguments, reason = "the contract's order of arguments")]
#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

pub mod shared_memory;
mod typed_array;
mod work;

use adasum_core::Engine;
use adasum_core::entry::{self, Results, Written};
use napi::bindgen_prelude::{AsyncTask, Float64Array};
use napi_derive::napi;

use typed_array::{Bytes, Doubles, Kept, List};
use work::{Result, Work, to_js, work};

/// The contract's version.
#[napi]
pub fn abi() -> u32 {
    11
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
pub fn coefficients(
    rule: f64,
    parameter: f64,
    dtype: f64,
    weights: Doubles,
    gram: Doubles,
    refinements: Doubles,
) -> Result<Float64Array> {
    entry::balanced_coefficients(rule, parameter, dtype, weights.read(), gram.read(), refinements.read())
        .map(Float64Array::new)
        .map_err(to_js)
}

#[napi(catch_unwind)]
pub fn crc32(bytes: Bytes) -> u32 {
    crc32fast::hash(bytes.as_slice())
}

#[napi(catch_unwind)]
pub fn copy(from: Bytes, to: Bytes) -> Result<()> {
    entry::copy(from.read(), to.write()).map_err(to_js)
}

/// A kernel's two forms, the second of which works off the calling thread. Its arguments are numbers first, then the
/// list of inputs in brackets, if it has one, then single arrays: `name, name_async(numbers; [inputs]; arrays) =
/// |engine| call`.
macro_rules! kernel {
    ($name:ident, $name_async:ident($($number:ident),*; $([$list:ident];)? $($array:ident: $kind:ident),*)
        = |$engine:ident| $call:expr) => {
        #[napi(catch_unwind)]
        pub fn $name($($number: f64,)* $($list: List<Bytes>,)? $($array: $kind),*) -> Result<()> {
            Engine::active().and_then(|$engine| $call).map_err(to_js)
        }

        #[napi]
        pub fn $name_async(
            $($number: f64,)*
            $($list: List<Kept<Bytes>>,)?
            $($array: Kept<$kind>),*
        ) -> AsyncTask<Work> {
            work(move || Engine::active().and_then(|$engine| $call))
        }
    };
}

kernel!(reduce, reduce_async(
    op, dtype, result_dtype; [inputs];
    weights: Doubles, pieces: Doubles, out: Bytes, nodes: Doubles, stats: Doubles
) = |engine| {
    let results = Results { out: out.write(), nodes: nodes.write(), stats: stats.write() };
    engine.reduce(op, dtype, result_dtype, &inputs.read(), weights.read(), pieces.read(), results)
});
kernel!(gram, gram_async(dtype; [inputs]; pieces: Doubles, nodes: Doubles) = |engine| {
    engine.gram(dtype, &inputs.read(), pieces.read(), nodes.write())
});
kernel!(refine, refine_async(dtype; [inputs]; vectors: Doubles, pieces: Doubles, nodes: Doubles) = |engine| {
    engine.refine(dtype, &inputs.read(), vectors.read(), pieces.read(), nodes.write())
});
kernel!(combine, combine_async(
    dtype, result_dtype; [inputs]; element_counts: Doubles, coefficients: Doubles, out: Bytes
) = |engine| {
    engine.combine(dtype, result_dtype, &inputs.read(), element_counts.read(), coefficients.read(), out.write())
});
kernel!(fold, fold_async(op, dtype; [inputs]; out: Bytes) = |engine| {
    engine.fold(op, dtype, &inputs.read(), out.write())
});
kernel!(quantize, quantize_async(
    format, block_element_count; input: Bytes, element_counts: Doubles, residual: Bytes, codes: Bytes
) = |engine| {
    let (input, counts) = (input.read(), element_counts.read());
    engine.quantize(format, block_element_count, input, counts, residual.write(), codes.write())
});
kernel!(dequantize, dequantize_async(
    format, block_element_count; codes: Bytes, element_counts: Doubles, out: Bytes
) = |engine| {
    engine.dequantize(format, block_element_count, codes.read(), element_counts.read(), out.write())
});
kernel!(step, step_async(
    rule, dtype; gradient: Bytes, element_counts: Doubles, factors: Doubles, weights: Bytes, first: Bytes, second: Bytes
) = |engine| {
    let written = Written { weights: weights.write(), first: first.write(), second: second.write() };
    engine.step(rule, dtype, gradient.read(), element_counts.read(), factors.read(), written)
});
kernel!(orthogonalize, orthogonalize_async(dtype, rows, columns; factors: Doubles, matrix: Bytes) = |engine| {
    engine.orthogonalize(dtype, [rows, columns], factors.read(), matrix.write())
});
