//! What a dtype is to the kernels: how it widens to f64 and how it is rounded back. One more dtype is one more impl.

use crate::dtype::Dtype;
use crate::kernel::{Kernels, Table};
use crate::simd::Isa;

/// An element type that the kernels compute in.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The dtype's name and code.
    const DTYPE: Dtype;
    /// Positive zero.
    const ZERO: Self;
    /// True if the product of any two elements is exact in f64: then fused and separate accumulation agree, and squares
    /// neither underflow nor overflow.
    const EXACT_PRODUCTS: bool;
    /// A tree node is measured directly if its squared norm falls below this part of its terms' squared norms.
    const REFINE_BELOW: f64;
    /// Squared norms below this have lost bits to underflow; such a vector counts as orthogonal to every other.
    const SMALLEST_SQUARED_NORM: f64;

    /// Widens eight elements.
    ///
    /// # Safety
    /// `p` must be valid for reading eight elements; see [`Isa`].
    unsafe fn load<I: Isa>(p: *const Self) -> I::Lanes;

    /// Rounds eight lanes, once, and makes every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store<I: Isa>(v: I::Lanes, p: *mut Self);

    /// This dtype's kernels.
    fn kernels(table: &Table) -> &Kernels<Self>;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const ZERO: Self = 0.0;
    const EXACT_PRODUCTS: bool = true;
    const REFINE_BELOW: f64 = 1e-8;
    const SMALLEST_SQUARED_NORM: f64 = 0.0;

    #[inline(always)]
    unsafe fn load<I: Isa>(p: *const Self) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { I::load_f32(p) }
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(v: I::Lanes, p: *mut Self) {
        // SAFETY: handed on from the caller.
        unsafe { I::store_f32(v, p) }
    }

    fn kernels(table: &Table) -> &Kernels<Self> {
        &table.f32
    }
}

impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
    const ZERO: Self = 0.0;
    const EXACT_PRODUCTS: bool = false;
    const REFINE_BELOW: f64 = 1e-3;
    const SMALLEST_SQUARED_NORM: f64 = 1.5e-154; // sqrt(f64::MIN_POSITIVE)

    #[inline(always)]
    unsafe fn load<I: Isa>(p: *const Self) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { I::load_f64(p) }
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(v: I::Lanes, p: *mut Self) {
        // SAFETY: handed on from the caller.
        unsafe { I::store_f64(v, p) }
    }

    fn kernels(table: &Table) -> &Kernels<Self> {
        &table.f64
    }
}
