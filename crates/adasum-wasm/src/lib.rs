//! adasum-core as a WebAssembly module: every function is one line into the core.
//!
//! The contract is `ts/src/binding/binding.ts`; `ts/src/binding/wasm.ts` implements it over these functions, which have
//! the same names. Arrays cross the border as addresses of what JavaScript has written into this module's memory
//! ([`memory`]).

#![expect(clippy::too_many_arguments, reason = "the contract's order of arguments")]
#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

mod memory;

use adasum_core::entry::{self, Results, Written};
use adasum_core::{Engine, Error};
use adasum_wasm_error::{Result, js_error};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use memory::{Address, list, read, write};

/// A core error as a JavaScript error.
fn to_js(error: Error) -> JsValue {
    js_error(error.code(), error.message())
}

/// The contract's version.
#[wasm_bindgen]
pub fn abi() -> u32 {
    11
}

/// Name of the instruction set in use.
#[wasm_bindgen]
pub fn isa() -> Result<String> {
    Engine::active().map(|engine| engine.isa().into()).map_err(to_js)
}

/// Names of all instruction sets of this build.
#[wasm_bindgen]
pub fn isas() -> Vec<String> {
    Engine::available().map(|engine| engine.isa().into()).collect()
}

/// Reserves memory for a call's arrays; see [`memory::reserve`].
#[wasm_bindgen]
pub fn reserve(byte_length: usize) -> Address {
    memory::reserve(byte_length)
}

#[wasm_bindgen(js_name = hasNonFinite)]
pub fn has_non_finite(dtype: f64, input: Address, segment_element_counts: Address) -> Result<bool> {
    Engine::active()
        .and_then(|core| core.has_non_finite(dtype, read(input), read(segment_element_counts)))
        .map_err(to_js)
}

#[wasm_bindgen(js_name = nodeCount)]
pub fn node_count(pieces: Address) -> Result<f64> {
    entry::node_count(read(pieces)).map_err(to_js)
}

#[wasm_bindgen(js_name = gramFinish)]
pub fn gram_finish(segment_element_count: f64, runs: Address, nodes: Address, product_count: f64) -> Result<Vec<f64>> {
    entry::gram_finish(segment_element_count, read(runs), read(nodes), product_count).map_err(to_js)
}

#[wasm_bindgen]
pub fn coefficients(
    rule: f64,
    parameter: f64,
    dtype: f64,
    weights: Address,
    gram: Address,
    refinements: Address,
) -> Result<Vec<f64>> {
    entry::balanced_coefficients(rule, parameter, dtype, read(weights), read(gram), read(refinements)).map_err(to_js)
}

/// A kernel, which takes numbers first and then addresses: `name(numbers; arrays) = |engine| call`.
macro_rules! kernel {
    ($name:ident($($number:ident),*; $($array:ident),*) = |$engine:ident| $call:expr) => {
        #[wasm_bindgen]
        pub fn $name($($number: f64,)* $($array: Address),*) -> Result<()> {
            Engine::active().and_then(|$engine| $call).map_err(to_js)
        }
    };
}

kernel!(reduce(op, dtype, result_dtype; inputs, weights, pieces, out, nodes, stats) = |engine| {
    let results = Results { out: write(out), nodes: write(nodes), stats: write(stats) };
    engine.reduce(op, dtype, result_dtype, &list(inputs), read(weights), read(pieces), results)
});
kernel!(gram(dtype; inputs, pieces, nodes) = |engine| {
    engine.gram(dtype, &list(inputs), read(pieces), write(nodes))
});
kernel!(refine(dtype; inputs, vectors, pieces, nodes) = |engine| {
    engine.refine(dtype, &list(inputs), read(vectors), read(pieces), write(nodes))
});
kernel!(combine(dtype, result_dtype; inputs, element_counts, coefficients, out) = |engine| {
    engine.combine(dtype, result_dtype, &list(inputs), read(element_counts), read(coefficients), write(out))
});
kernel!(fold(op, dtype; inputs, out) = |engine| engine.fold(op, dtype, &list(inputs), write(out)));
kernel!(quantize(format, block_element_count; input, element_counts, residual, codes) = |engine| {
    let (input, counts) = (read(input), read(element_counts));
    engine.quantize(format, block_element_count, input, counts, write(residual), write(codes))
});
kernel!(dequantize(format, block_element_count; codes, element_counts, out) = |engine| {
    engine.dequantize(format, block_element_count, read(codes), read(element_counts), write(out))
});
kernel!(step(rule, dtype; gradient, element_counts, factors, weights, first, second) = |engine| {
    let written = Written { weights: write(weights), first: write(first), second: write(second) };
    engine.step(rule, dtype, read(gradient), read(element_counts), read(factors), written)
});
kernel!(orthogonalize(dtype, rows, columns; factors, matrix) = |engine| {
    engine.orthogonalize(dtype, [rows, columns], read(factors), write(matrix))
});
