//! The loops over elements: one generic body a kernel, and one table of function pointers an instruction set.
//!
//! A body is `#[inline(always)]` and knows its [`Isa`](crate::simd::Isa) and [`Element`] as type parameters. The macro
//! below makes the functions that enable the CPU features, which are named nowhere else. So one more kernel is one
//! body, one more instruction set one file in `simd` and one line at the end of this one. The tables' types are in
//! [`table`], which all may use; nothing but this file knows all kernels.

mod combine;
mod fold;
mod gram;
mod gram_small;
mod lanes;
pub mod multiply;
mod quantize;
mod refine;
mod scan;
pub mod step;
pub mod table;

use std::ops::Range;

use crate::element::{Element, Real, Stored};
use crate::half::{Bf16, F16};
use crate::rules::{Max, Min, Rule, Sum};
use crate::simd::Registers;
use crate::simd::scalar::Scalar;
use table::{Between, Coding, Codings, Elements, Folds, FoldsByDtype, Kernels, Pass, Scratch, Steps, Table, Term};

pub use quantize::{Code, Int8};

macro_rules! isa_table {
    ($(#[$attribute:meta])* $table:ident, $name:literal, $isa:ty, $available:expr $(, $features:literal)?) => {
        $(#[$attribute])*
        pub static $table: Table = {
            $(#[target_feature(enable = $features)])?
            unsafe fn gram<E: Element>(
                inputs: &[*const E],
                elements: Range<usize>,
                products: &mut [f64],
                between: Between<'_>,
            ) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { gram::gram::<$isa, E>(inputs, elements, products, between) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn combine<E: Element, O: Element>(
                terms: &[Term<E>],
                elements: Range<usize>,
                out: *mut O,
                pass: Pass,
            ) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { combine::combine::<$isa, E, O>(terms, elements, out, pass) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn refine<E: Element>(
                terms: &[Term<E>],
                inputs: &[*const E],
                element_count: usize,
                scratch: &mut Scratch,
                products: &mut [f64],
            ) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { refine::refine::<$isa, E>(terms, inputs, element_count, scratch, products) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn is_finite<E: Element>(input: *const E, element_count: usize) -> bool {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { scan::is_finite::<$isa, E>(input, element_count) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn fold<E: Stored, R: Rule<E>>(inputs: &[*const E], elements: Range<usize>, out: *mut E) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { fold::fold::<E, R>(inputs, elements, out) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn quantize<C: Code>(input: *const f32, residual: Option<*mut f32>, count: usize, codes: *mut u8) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { quantize::quantize::<$isa, C>(input, residual, count, codes) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn dequantize<C: Code>(codes: *const u8, count: usize, out: *mut f32) {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { quantize::dequantize::<$isa, C>(codes, count, out) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn sgd<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
                // SAFETY: handed on from the caller.
                unsafe { step::sgd::<$isa, E>(factors, elements) };
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn momentum<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
                step::momentum(factors, elements);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn adam<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
                step::adam(factors, elements);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn lamb_moments<E: Real>(factors: &[f64], elements: Elements<'_, E>, directions: &mut [E]) {
                // SAFETY: the features are enabled.
                unsafe { step::lamb_moments::<$isa, E>(factors, elements, directions) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn lamb_weights<E: Real>(factors: &[f64], rate: f64, elements: Elements<'_, E>) {
                // SAFETY: the features are enabled.
                unsafe { step::lamb_weights::<$isa, E>(factors, rate, elements) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn muon<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
                step::muon(factors, elements);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn add_terms<E: Real>(left: &[E], right: &[E], tile: &mut [E], stride: usize)
            where
                $isa: Registers<E>,
            {
                // SAFETY: handed on from the caller, and the features are enabled.
                unsafe { multiply::add_terms::<$isa, E>(left, right, tile, stride) }
            }
            const fn steps<E: Real>() -> Steps<E>
            where
                $isa: Registers<E>,
            {
                Steps {
                    sgd: sgd::<E>,
                    momentum: momentum::<E>,
                    adam: adam::<E>,
                    lamb_moments: lamb_moments::<E>,
                    lamb_weights: lamb_weights::<E>,
                    muon: muon::<E>,
                    add_terms: add_terms::<E>,
                    tile_columns: multiply::tile_columns::<$isa, E>(),
                }
            }
            const fn coding<C: Code>() -> Coding {
                Coding { quantize: quantize::<C>, dequantize: dequantize::<C> }
            }
            const fn order<E: Stored>() -> Folds<E>
            where
                Min: Rule<E>,
                Max: Rule<E>,
            {
                Folds { min: fold::<E, Min>, max: fold::<E, Max>, sum: None }
            }
            const fn integer<E: Stored>() -> Folds<E>
            where
                Min: Rule<E>,
                Max: Rule<E>,
                Sum: Rule<E>,
            {
                Folds { sum: Some(fold::<E, Sum>), ..order::<E>() }
            }
            const fn kernels<E: Element>() -> Kernels<E> {
                Kernels {
                    gram: gram::<E>,
                    combine: combine::<E, E>,
                    combine_f32: combine::<E, f32>,
                    refine: refine::<E>,
                    is_finite: is_finite::<E>,
                }
            }
            Table {
                name: $name,
                is_available: || $available,
                f32: kernels(),
                f64: kernels(),
                f16: kernels(),
                bf16: kernels(),
                folds: FoldsByDtype {
                    f32: order(),
                    f64: order(),
                    f16: order(),
                    bf16: order(),
                    u8: integer(),
                    i32: integer(),
                    u32: integer(),
                    i64: integer(),
                    u64: integer(),
                },
                codings: Codings { f16: coding::<F16>(), bf16: coding::<Bf16>(), int8: coding::<Int8>() },
                steps_f32: steps(),
                steps_f64: steps(),
            }
        };
    };
}

isa_table!(SCALAR, "scalar", Scalar, true);
isa_table!(
    #[cfg(target_arch = "x86_64")]
    AVX2,
    "avx2",
    crate::simd::avx2::Avx2,
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c"),
    "avx2,fma,f16c"
);
isa_table!(
    #[cfg(target_arch = "x86_64")]
    AVX512,
    "avx512",
    crate::simd::avx512::Avx512,
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("f16c"),
    "avx512f,avx512bw,avx512vl,f16c"
);
isa_table!(
    #[cfg(target_arch = "aarch64")]
    NEON,
    "neon",
    crate::simd::neon::Neon,
    true
);
isa_table!(
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    SIMD128,
    "simd128",
    crate::simd::simd128::Simd128,
    true
);

/// All tables that this build has, the slowest first.
pub static TABLES: &[&Table] = &[
    &SCALAR,
    #[cfg(target_arch = "x86_64")]
    &AVX2,
    #[cfg(target_arch = "x86_64")]
    &AVX512,
    #[cfg(target_arch = "aarch64")]
    &NEON,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    &SIMD128,
];
