//! adasum-core as a WebAssembly module: every function is one line into the core.
//!
//! The contract is `ts/src/binding/binding.ts`; `ts/src/binding/wasm.ts` implements it over these functions, which have the
//! same names. Arrays cross the border as addresses of what JavaScript has written into this module's memory ([`memory`]).

#![expect(clippy::too_many_arguments, reason = "the contract's order of arguments")]
#![expect(missing_docs, reason = "the functions are documented once, in the contract that they implement")]

mod error;
mod memory;

use adasum_core::Engine;
use adasum_core::entry::{self, Results};
use wasm_bindgen::prelude::wasm_bindgen;

use error::{Result, to_js};
use memory::{Address, list, read, write};

/// The contract's version.
#[wasm_bindgen]
pub fn abi() -> u32 {
    6
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

/// Room for a call's arrays; see [`memory::reserve`].
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
pub fn coefficients(dtype: f64, weights: Address, gram: Address, refinements: Address) -> Result<Vec<f64>> {
    entry::balanced_coefficients(dtype, read(weights), read(gram), read(refinements)).map_err(to_js)
}

#[wasm_bindgen]
pub fn reduce(
    op: f64,
    dtype: f64,
    result_dtype: f64,
    inputs: Address,
    weights: Address,
    pieces: Address,
    out: Address,
    nodes: Address,
    stats: Address,
) -> Result<()> {
    let results = Results { out: write(out), nodes: write(nodes), stats: write(stats) };
    Engine::active()
        .and_then(|core| core.reduce(op, dtype, result_dtype, &list(inputs), read(weights), read(pieces), results))
        .map_err(to_js)
}

#[wasm_bindgen]
pub fn gram(dtype: f64, inputs: Address, pieces: Address, nodes: Address) -> Result<()> {
    Engine::active().and_then(|core| core.gram(dtype, &list(inputs), read(pieces), write(nodes))).map_err(to_js)
}

#[wasm_bindgen]
pub fn refine(dtype: f64, inputs: Address, vectors: Address, pieces: Address, nodes: Address) -> Result<()> {
    Engine::active()
        .and_then(|core| core.refine(dtype, &list(inputs), read(vectors), read(pieces), write(nodes)))
        .map_err(to_js)
}

#[wasm_bindgen]
pub fn combine(
    dtype: f64,
    result_dtype: f64,
    inputs: Address,
    element_counts: Address,
    coefficients: Address,
    out: Address,
) -> Result<()> {
    Engine::active()
        .and_then(|core| {
            core.combine(dtype, result_dtype, &list(inputs), read(element_counts), read(coefficients), write(out))
        })
        .map_err(to_js)
}

#[wasm_bindgen]
pub fn fold(op: f64, dtype: f64, inputs: Address, out: Address) -> Result<()> {
    Engine::active().and_then(|core| core.fold(op, dtype, &list(inputs), write(out))).map_err(to_js)
}

#[wasm_bindgen]
pub fn quantize(
    format: f64,
    block_element_count: f64,
    input: Address,
    element_counts: Address,
    residual: Address,
    codes: Address,
) -> Result<()> {
    let (input, counts) = (read(input), read(element_counts));
    Engine::active()
        .and_then(|core| core.quantize(format, block_element_count, input, counts, write(residual), write(codes)))
        .map_err(to_js)
}

#[wasm_bindgen]
pub fn dequantize(
    format: f64,
    block_element_count: f64,
    codes: Address,
    element_counts: Address,
    out: Address,
) -> Result<()> {
    Engine::active()
        .and_then(|core| core.dequantize(format, block_element_count, read(codes), read(element_counts), write(out)))
        .map_err(to_js)
}
