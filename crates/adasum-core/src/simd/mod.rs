//! What a CPU offers: eight f64 lanes, widening loads and rounding stores. One file an instruction set.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod scalar;

/// Lanes on every CPU: equal lanes, equal order of additions, equal bits.
pub const LANES: usize = 8;

/// The bits of every NaN that is stored as f32: quiet, positive, no payload.
pub const CANONICAL_NAN_F32: f32 = f32::from_bits(0x7fc0_0000);
/// The bits of every NaN that is stored as f64.
pub const CANONICAL_NAN_F64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// An instruction set: registers, arithmetic, loads and stores, and nothing that depends on a kernel.
///
/// # Safety
///
/// Implementations must compute exactly what the scalar one does, NaN payloads inside registers excepted.
/// Callers must run on a CPU that has the instruction set, inside a function that enables its features.
pub unsafe trait Isa {
    /// Eight f64 numbers, in one register or several.
    type Lanes: Copy;

    /// All lanes equal to `x`.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn splat(x: f64) -> Self::Lanes;
    /// a + b, lane by lane.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// a * b, lane by lane.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// a * b + sum for products that are exact in f64, where fusing changes nothing.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn mul_add_exact(a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;
    /// Asks for the cache line at `p`, which may be anywhere: nothing is read.
    ///
    /// # Safety
    /// See [`Isa`].
    #[inline(always)]
    unsafe fn prefetch<T>(_p: *const T) {}
    /// Writes the lanes in order, as they are.
    ///
    /// # Safety
    /// `p` must be valid for writing eight numbers; see [`Isa`].
    unsafe fn keep(v: Self::Lanes, p: *mut f64);
    /// The lanes in order.
    ///
    /// # Safety
    /// See [`Isa`].
    #[inline(always)]
    unsafe fn to_array(v: Self::Lanes) -> [f64; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has room for all lanes; the rest is handed on from the caller.
        unsafe { Self::keep(v, lanes.as_mut_ptr()) };
        lanes
    }
    /// Widens eight f32.
    ///
    /// # Safety
    /// `p` must be valid for reading eight elements; see [`Isa`].
    unsafe fn load_f32(p: *const f32) -> Self::Lanes;
    /// Loads eight f64.
    ///
    /// # Safety
    /// `p` must be valid for reading eight elements; see [`Isa`].
    unsafe fn load_f64(p: *const f64) -> Self::Lanes;
    /// Widens eight f16.
    ///
    /// # Safety
    /// `p` must be valid for reading eight elements; see [`Isa`].
    unsafe fn load_f16(p: *const u16) -> Self::Lanes;
    /// Widens eight bf16.
    ///
    /// # Safety
    /// `p` must be valid for reading eight elements; see [`Isa`].
    unsafe fn load_bf16(p: *const u16) -> Self::Lanes;
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
