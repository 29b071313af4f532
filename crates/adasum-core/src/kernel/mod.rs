//! The loops over elements: one generic body a kernel, and one table of function pointers an instruction set.
//!
//! A body is `#[inline(always)]` and knows its [`Isa`](crate::simd::Isa) and [`Element`] as type parameters. The macro at
//! the end makes the functions that switch the CPU features on, the only place where they are named. So one more kernel
//! is one body, one more instruction set one file in `simd` and one line at the end of this one.

mod combine;
mod few;
mod fold;
mod gram;
mod quantize;
mod refine;
mod scan;

use std::ops::Range;

use crate::blocks::BLOCK_ELEMENTS;
use crate::element::{Element, Stored};
use crate::half::{Bf16, F16};
use crate::rules::{Max, Min, Sum};
use crate::simd::scalar::Scalar;
use crate::simd::{Arithmetic, LANES};

pub use fold::{Folds, Rule};
pub use quantize::{Code, Coding, Int8};

/// Room for one block in f64.
pub type Scratch = [f64; BLOCK_ELEMENTS];

/// An input and its coefficient.
#[derive(Clone, Copy, Debug)]
pub struct Term<E> {
    /// The input's first element.
    pub input: *const E,
    /// What it is multiplied with.
    pub coefficient: f64,
}

/// How a combination deals with memory.
#[derive(Clone, Copy, Debug)]
pub enum Pass {
    /// Nothing else goes on.
    Alone,
    /// Meanwhile memory is asked for as many elements from this one on.
    Before(usize),
    /// The result is not kept in the cache, where it has no room anyway. It must be none of the inputs.
    Streaming,
}

/// `combine(terms, elements, out, pass)`: out = sum of coefficient * input over these elements, rounded to O. `out` may be
/// an input.
pub type Combine<E, O> = unsafe fn(&[Term<E>], Range<usize>, *mut O, Pass);

/// What is done between the chunks of a block: it gets the elements of the chunk that comes next.
pub type Between<'a> = Option<&'a mut dyn FnMut(Range<usize>)>;

/// One dtype's kernels on one instruction set.
///
/// All of them require that the CPU has the table's instruction set, and that pointers are aligned for `E` and valid for the
/// elements named.
#[derive(Debug)]
pub struct Kernels<E> {
    /// `gram(inputs, elements, products, between)`: the upper triangle of the inputs' products over one block of at most
    /// [`BLOCK_ELEMENTS`] elements, row by row. If something is done in between, it asks memory for the chunk to come.
    pub gram: unsafe fn(&[*const E], Range<usize>, &mut [f64], Between<'_>),
    /// See [`Combine`].
    pub combine: Combine<E, E>,
    /// The same, stored as f32.
    pub combine_f32: Combine<E, f32>,
    /// `refine(terms, inputs, element_count, scratch, products)`: x = sum of the terms in f64, over one block; the
    /// products are x.x and x.input for every input.
    #[expect(clippy::type_complexity, reason = "a function pointer reads best as its signature")]
    pub refine: unsafe fn(&[Term<E>], &[*const E], usize, &mut Scratch, &mut [f64]),
    /// `is_finite(input, element_count)`: no NaN and no infinity.
    pub is_finite: unsafe fn(*const E, usize) -> bool,
}

/// One instruction set's kernels.
#[derive(Debug)]
pub struct Table {
    /// The name by which `ADASUM_ISA` chooses it.
    pub name: &'static str,
    /// True if this CPU can run it.
    pub is_available: fn() -> bool,
    /// Kernels for f32.
    pub f32: Kernels<f32>,
    /// Kernels for f64.
    pub f64: Kernels<f64>,
    /// Kernels for f16.
    pub f16: Kernels<F16>,
    /// Kernels for bf16.
    pub bf16: Kernels<Bf16>,
    /// Folds of all dtypes.
    pub folds: FoldsByDtype,
    /// Codes of all formats.
    pub codings: Codings,
}

/// The codes of every format on one instruction set.
#[derive(Debug)]
pub struct Codings {
    pub f16: Coding,
    pub bf16: Coding,
    pub int8: Coding,
}

/// The folds of every dtype on one instruction set.
#[derive(Debug)]
pub struct FoldsByDtype {
    pub f32: Folds<f32>,
    pub f64: Folds<f64>,
    pub f16: Folds<F16>,
    pub bf16: Folds<Bf16>,
    pub u8: Folds<u8>,
    pub i32: Folds<i32>,
    pub u32: Folds<u32>,
    pub i64: Folds<i64>,
    pub u64: Folds<u64>,
}

/// Adds the lanes in the canonical order.
#[inline(always)]
fn add_lanes(v: [f64; LANES]) -> f64 {
    ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]))
}

/// The `count < 8` elements at `p`, then zeros, which leave every sum as it is.
///
/// # Safety
/// `p` must be valid for reading `count` elements.
#[inline(always)]
unsafe fn padded<E: Element>(p: *const E, count: usize) -> [E; LANES] {
    let mut elements = [E::ZERO; LANES];
    // SAFETY: `count` is below 8, and the caller vouches for so many elements.
    unsafe { std::ptr::copy_nonoverlapping(p, elements.as_mut_ptr(), count) };
    elements
}

/// Widens the lanes from `part` on of eight elements, of which the `count < 8` at `p` are there; the others are zero.
///
/// # Safety
/// `p` must be valid for reading `count` elements; see [`Arithmetic`].
#[inline(always)]
unsafe fn load_rest<A: Arithmetic, E: Element>(p: *const E, count: usize, part: usize) -> A::Lanes {
    // SAFETY: the array has eight elements; the rest is handed on from the caller.
    unsafe { E::load::<A>(padded(p, count).as_ptr().add(part)) }
}

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
