//! What the kernels use of a CPU: lanes of f64, widening loads and rounding stores. Each instruction set is one file.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod simd128;
pub mod stream;
#[cfg(not(target_arch = "wasm32"))]
mod twice;

/// Number of lanes on every CPU: with equal lanes the order of additions is equal, and so are the bits.
pub const LANES: usize = 8;

/// The bits of every NaN that is stored as f32: quiet, positive, no payload.
pub const CANONICAL_NAN_F32: f32 = f32::from_bits(0x7fc0_0000);
/// The bits of every NaN that is stored as f64.
pub const CANONICAL_NAN_F64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Some of the eight lanes, and what can be computed with them.
///
/// # Safety
///
/// Implementations must compute exactly what the scalar one does, NaN payloads inside registers excepted.
/// Callers must run on a CPU that has the instruction set, inside a function that enables its features.
pub unsafe trait Arithmetic {
    /// So many f64 numbers, in one register or several.
    type Lanes: Copy;
    /// How many: a divisor of [`LANES`].
    const WIDTH: usize;

    /// All lanes equal to `x`.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn splat(x: f64) -> Self::Lanes;
    /// a + b, lane by lane.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// a * b, lane by lane.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// a * b + sum for products that are exact in f64, where fusing changes nothing.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn mul_add_exact(a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;
    /// Prefetches the cache line at `p`, which may be anywhere: nothing is read.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    #[inline(always)]
    unsafe fn prefetch<T>(_p: *const T) {}
    /// The same, into the second-level cache only.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    #[inline(always)]
    unsafe fn prefetch_far<T>(_p: *const T) {}
    /// Writes the lanes in order, as they are.
    ///
    /// # Safety
    /// `p` must be valid for writing `WIDTH` numbers; see [`Arithmetic`].
    unsafe fn store_lanes(v: Self::Lanes, p: *mut f64);
    /// Widens f32.
    ///
    /// # Safety
    /// `p` must be valid for reading `WIDTH` elements; see [`Arithmetic`].
    unsafe fn load_f32(p: *const f32) -> Self::Lanes;
    /// Loads f64.
    ///
    /// # Safety
    /// `p` must be valid for reading `WIDTH` elements; see [`Arithmetic`].
    unsafe fn load_f64(p: *const f64) -> Self::Lanes;
    /// Widens f16.
    ///
    /// # Safety
    /// `p` must be valid for reading `WIDTH` elements; see [`Arithmetic`].
    unsafe fn load_f16(p: *const u16) -> Self::Lanes;
    /// Widens bf16.
    ///
    /// # Safety
    /// `p` must be valid for reading `WIDTH` elements; see [`Arithmetic`].
    unsafe fn load_bf16(p: *const u16) -> Self::Lanes;
}

/// An instruction set: all eight lanes, and rounding stores. Nothing here depends on a kernel.
///
/// # Safety
///
/// As for [`Arithmetic`]; `WIDTH` must be [`LANES`].
pub unsafe trait Isa: Arithmetic {
    /// As many lanes as leave room in the registers for ten sums and four values.
    type Tile: Arithmetic;
    /// Columns of a rectangle of four rows whose sums and values the registers hold: 2 or 4.
    const TILE_COLUMNS: usize = 2;

    /// The lanes in order.
    ///
    /// # Safety
    /// See [`Isa`].
    #[inline(always)]
    unsafe fn to_array(v: Self::Lanes) -> [f64; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has room for all lanes; the rest is handed on from the caller.
        unsafe { Self::store_lanes(v, lanes.as_mut_ptr()) };
        lanes
    }
    /// Rounds to eight f32, to nearest, every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store_f32(v: Self::Lanes, p: *mut f32);
    /// Stores eight f64, every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store_f64(v: Self::Lanes, p: *mut f64);
    /// Rounds to eight f16, once, to nearest, every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store_f16(v: Self::Lanes, p: *mut u16);
    /// Rounds to eight bf16, once, to nearest, every NaN canonical.
    ///
    /// # Safety
    /// `p` must be valid for writing eight elements; see [`Isa`].
    unsafe fn store_bf16(v: Self::Lanes, p: *mut u16);
}

/// Numbers of one type in one register, as they are. [`Arithmetic`] computes in f64 whatever the type of the elements.
///
/// # Safety
///
/// As for [`Arithmetic`]: every operation is rounded by itself, as IEEE 754 says.
pub unsafe trait Registers<E> {
    /// So many numbers.
    type Register: Copy;
    /// How many.
    const WIDTH: usize;

    /// All numbers equal to `x`.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn all(x: E) -> Self::Register;
    /// Reads the numbers at `p`.
    ///
    /// # Safety
    /// `p` must be valid for reading `WIDTH` numbers; see [`Arithmetic`].
    unsafe fn read(p: *const E) -> Self::Register;
    /// Writes the numbers to `p`.
    ///
    /// # Safety
    /// `p` must be valid for writing `WIDTH` numbers; see [`Arithmetic`].
    unsafe fn write(v: Self::Register, p: *mut E);
    /// sum + a b, number by number: the product is rounded, then the sum.
    ///
    /// # Safety
    /// See [`Arithmetic`].
    unsafe fn add_product(sum: Self::Register, a: Self::Register, b: Self::Register) -> Self::Register;
}

/// [`Registers`] by five intrinsics: that which makes all numbers equal, load, store, multiplication and addition.
#[allow(unused_macros, reason = "some machines have none")]
macro_rules! registers {
    ($isa:ty, $element:ty, $register:ty, $width:literal: $all:path, $read:path, $write:path, $mul:path, $add:path) => {
        // SAFETY: the intrinsics are the IEEE operations.
        unsafe impl $crate::simd::Registers<$element> for $isa {
            type Register = $register;
            const WIDTH: usize = $width;

            #[inline(always)]
            unsafe fn all(x: $element) -> $register {
                // SAFETY: the caller enabled the features.
                #[allow(unused_unsafe, reason = "some intrinsics are safe")]
                unsafe {
                    $all(x)
                }
            }

            #[inline(always)]
            unsafe fn read(p: *const $element) -> $register {
                // SAFETY: the caller vouches for the numbers and enabled the features.
                unsafe { $read(p.cast()) }
            }

            #[inline(always)]
            unsafe fn write(v: $register, p: *mut $element) {
                // SAFETY: the caller vouches for the numbers and enabled the features.
                unsafe { $write(p.cast(), v) }
            }

            #[inline(always)]
            unsafe fn add_product(sum: $register, a: $register, b: $register) -> $register {
                // SAFETY: the caller enabled the features.
                #[allow(unused_unsafe, reason = "some intrinsics are safe")]
                unsafe {
                    $add(sum, $mul(a, b))
                }
            }
        }
    };
}
#[allow(unused_imports, reason = "some machines have no intrinsics")]
pub(super) use registers;
