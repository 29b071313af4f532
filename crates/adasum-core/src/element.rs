//! The element types of the kernels: how each widens to f64, how it is rounded back, and which entries of a kernel
//! table are its own. One more dtype is one more impl.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::dtype::Dtype;
use crate::half::{Bf16, F16};
use crate::kernel::table::{Combine, Folds, Kernels, Steps, Table};
use crate::simd::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa};

/// An element type of any kernel.
pub trait Stored: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The dtype's name.
    const NAME: &'static str;
}

/// An element type that can be folded.
pub trait Foldable: Stored {
    /// This dtype's folds.
    fn folds(table: &Table) -> &Folds<Self>;
}

macro_rules! foldable {
    ($($type:ty, $field:ident, $name:expr;)*) => {$(
        impl Stored for $type {
            const NAME: &'static str = $name;
        }

        impl Foldable for $type {
            fn folds(table: &Table) -> &Folds<Self> {
                &table.folds.$field
            }
        }
    )*};
}
foldable! {
    f32, f32, Dtype::F32.name();
    f64, f64, Dtype::F64.name();
    F16, f16, Dtype::F16.name();
    Bf16, bf16, Dtype::Bf16.name();
    u8, u8, "u8";
    i32, i32, "i32";
    u32, u32, "u32";
    i64, i64, "i64";
    u64, u64, "u64";
}

/// An element type that the kernels compute in.
pub trait Element: Stored {
    /// Positive zero.
    const ZERO: Self;
    /// True if the product of any two elements is exact in f64: then fused and separate accumulation agree, and squares
    /// neither underflow nor overflow.
    const EXACT_PRODUCTS: bool;
    /// A tree node is refined (see [`crate::coefficients`]) if its squared norm falls below this part of its terms'
    /// squared norms.
    const REFINE_BELOW: f64;
    /// Squared norms below this have lost bits to underflow; such a vector counts as orthogonal to every other.
    const SMALLEST_SQUARED_NORM: f64;

    /// Widens as many elements as there are lanes.
    ///
    /// # Safety
    /// `p` must be valid for reading so many elements; see [`Arithmetic`].
    unsafe fn load<A: Arithmetic>(p: *const Self) -> A::Lanes;

    /// Rounds eight lanes, once, and makes every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store<I: Isa>(v: I::Lanes, p: *mut Self);

    /// This dtype's kernels.
    fn kernels(table: &Table) -> &Kernels<Self>;
}

/// An element type in which a combination of elements of type `E` can be stored: `E` itself, and f32 for the half
/// formats.
pub trait Output<E: Element>: Element {
    /// The kernel that combines and rounds.
    fn combine(kernels: &Kernels<E>) -> Combine<E, Self>;
}

impl<E: Element> Output<E> for E {
    fn combine(kernels: &Kernels<E>) -> Combine<E, E> {
        kernels.combine
    }
}

macro_rules! element {
    ($type:ty, $field:ident, $zero:expr, $load:ident, $store:ident,
     exact: $exact:expr, refine_below: $refine:expr, smallest: $smallest:expr) => {
        impl Element for $type {
            const ZERO: Self = $zero;
            const EXACT_PRODUCTS: bool = $exact;
            const REFINE_BELOW: f64 = $refine;
            const SMALLEST_SQUARED_NORM: f64 = $smallest;

            #[inline(always)]
            unsafe fn load<A: Arithmetic>(p: *const Self) -> A::Lanes {
                // SAFETY: handed on from the caller.
                unsafe { A::$load(p.cast()) }
            }

            #[inline(always)]
            unsafe fn store<I: Isa>(v: I::Lanes, p: *mut Self) {
                // SAFETY: handed on from the caller.
                unsafe { I::$store(v, p.cast()) }
            }

            fn kernels(table: &Table) -> &Kernels<Self> {
                &table.$field
            }
        }
    };
}

element!(f32, f32, 0.0, load_f32, store_f32, exact: true, refine_below: 1e-8, smallest: 0.0);
// The smallest squared norm is sqrt(f64::MIN_POSITIVE).
element!(f64, f64, 0.0, load_f64, store_f64, exact: false, refine_below: 1e-3, smallest: 1.5e-154);
element!(F16, f16, F16(0), load_f16, store_f16, exact: true, refine_below: 1e-8, smallest: 0.0);
element!(Bf16, bf16, Bf16(0), load_bf16, store_bf16, exact: true, refine_below: 1e-8, smallest: 0.0);

macro_rules! stored_as_f32 {
    ($type:ty) => {
        impl Output<$type> for f32 {
            fn combine(kernels: &Kernels<$type>) -> Combine<$type, f32> {
                kernels.combine_f32
            }
        }
    };
}
stored_as_f32!(F16);
stored_as_f32!(Bf16);

/// A float in which the steps of optimizers are computed.
pub trait Real:
    Element
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The stored NaN.
    const NAN: Self;

    /// The nearest number.
    fn of(x: f64) -> Self;
    /// The correctly rounded square root.
    fn root(self) -> Self;
    /// The number as it is stored: every NaN is [`Real::NAN`].
    #[inline(always)]
    fn canonical(self) -> Self {
        #[expect(clippy::eq_op, reason = "NaN differs from itself")]
        if self == self { self } else { Self::NAN }
    }
    /// This dtype's steps.
    fn steps(table: &Table) -> &Steps<Self>;
}

macro_rules! real {
    ($type:ty, $field:ident, $nan:expr) => {
        impl Real for $type {
            const NAN: Self = $nan;

            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $type
            }

            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }

            fn steps(table: &Table) -> &Steps<Self> {
                &table.$field
            }
        }
    };
}
real!(f32, steps_f32, CANONICAL_NAN_F32);
real!(f64, steps_f64, CANONICAL_NAN_F64);
