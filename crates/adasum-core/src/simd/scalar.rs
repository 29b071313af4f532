//! Plain Rust: runs everywhere, and says what the other instruction sets must compute.

use crate::half::{Bf16, F16};

use super::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, LANES, Registers};

/// The instruction set of every machine, on so many lanes.
#[derive(Debug)]
pub struct Scalar<const WIDTH: usize = LANES>;

// SAFETY: this is the definition that the others follow; it needs no CPU feature.
unsafe impl<const WIDTH: usize> Arithmetic for Scalar<WIDTH> {
    type Lanes = [f64; WIDTH];
    const WIDTH: usize = WIDTH;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self::Lanes {
        [x; WIDTH]
    }

    #[inline(always)]
    unsafe fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|lane| a[lane] * b[lane] + sum[lane])
    }

    #[inline(always)]
    unsafe fn store_lanes(v: Self::Lanes, p: *mut f64) {
        // SAFETY: the caller vouches for the numbers.
        unsafe { p.cast::<[f64; WIDTH]>().write_unaligned(v) };
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self::Lanes {
        // SAFETY: the caller vouches for the elements.
        std::array::from_fn(|lane| f64::from(unsafe { p.add(lane).read() }))
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> Self::Lanes {
        // SAFETY: the caller vouches for the elements.
        std::array::from_fn(|lane| unsafe { p.add(lane).read() })
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::Lanes {
        // SAFETY: the caller vouches for the elements.
        std::array::from_fn(|lane| F16(unsafe { p.add(lane).read() }).to_f64())
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::Lanes {
        // SAFETY: the caller vouches for the elements.
        std::array::from_fn(|lane| Bf16(unsafe { p.add(lane).read() }).to_f64())
    }
}

// SAFETY: as above; all eight lanes.
unsafe impl Isa for Scalar {
    type Tile = Scalar<2>;

    #[inline(always)]
    unsafe fn store_f32(v: Self::Lanes, p: *mut f32) {
        for (lane, x) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe { p.add(lane).write(if x.is_nan() { CANONICAL_NAN_F32 } else { x as f32 }) };
        }
    }

    #[inline(always)]
    unsafe fn store_f64(v: Self::Lanes, p: *mut f64) {
        for (lane, x) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe { p.add(lane).write(if x.is_nan() { CANONICAL_NAN_F64 } else { x }) };
        }
    }

    #[inline(always)]
    unsafe fn store_f16(v: Self::Lanes, p: *mut u16) {
        for (lane, x) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe { p.add(lane).write(F16::from_f64(x).0) };
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(v: Self::Lanes, p: *mut u16) {
        for (lane, x) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe { p.add(lane).write(Bf16::from_f64(x).0) };
        }
    }
}

/// As many numbers as the narrowest registers hold.
macro_rules! scalar_registers {
    ($element:ty, $width:literal) => {
        // SAFETY: this is the definition that the others follow; it needs no CPU feature.
        unsafe impl Registers<$element> for Scalar {
            type Register = [$element; $width];
            const WIDTH: usize = $width;

            #[inline(always)]
            unsafe fn all(x: $element) -> Self::Register {
                [x; $width]
            }

            #[inline(always)]
            unsafe fn read(p: *const $element) -> Self::Register {
                // SAFETY: the caller vouches for the numbers.
                unsafe { p.cast::<Self::Register>().read() }
            }

            #[inline(always)]
            unsafe fn write(v: Self::Register, p: *mut $element) {
                // SAFETY: the caller vouches for the numbers.
                unsafe { p.cast::<Self::Register>().write(v) }
            }

            #[inline(always)]
            unsafe fn add_product(sum: Self::Register, a: Self::Register, b: Self::Register) -> Self::Register {
                std::array::from_fn(|i| sum[i] + a[i] * b[i])
            }
        }
    };
}
#[cfg(not(target_arch = "wasm32"))]
scalar_registers!(f32, 4);
#[cfg(not(target_arch = "wasm32"))]
scalar_registers!(f64, 2);
// WebAssembly has none.
#[cfg(target_arch = "wasm32")]
scalar_registers!(f32, 1);
#[cfg(target_arch = "wasm32")]
scalar_registers!(f64, 1);
