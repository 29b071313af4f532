//! The element types, as the tests see them.

use std::fmt::Debug;

use adasum_core::half::{Bf16, F16};

use super::half::Format;

pub trait Float: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    const CODE: f64;
    const NAME: &'static str;
    /// Digits of a normal number, the leading one included.
    const SIGNIFICAND_BITS: u32;
    /// Below it numbers have fewer digits.
    const SMALLEST_NORMAL: f64;
    /// The bits of every NaN that is stored.
    const CANONICAL_NAN: u64;
    /// Rounds to nearest, ties to even.
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn bits(self) -> u64;
    /// The element with these bits; those beyond the element's size are cut off.
    fn from_bits(bits: u64) -> Self;
}

impl Float for f32 {
    const CODE: f64 = 0.0;
    const NAME: &'static str = "f32";
    const SIGNIFICAND_BITS: u32 = 24;
    const SMALLEST_NORMAL: f64 = 1.175_494_350_822_287_5e-38;
    const CANONICAL_NAN: u64 = 0x7fc0_0000;
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
    fn from_bits(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
}

impl Float for f64 {
    const CODE: f64 = 1.0;
    const NAME: &'static str = "f64";
    const SIGNIFICAND_BITS: u32 = 53;
    const SMALLEST_NORMAL: f64 = f64::MIN_POSITIVE;
    const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn from_bits(bits: u64) -> Self {
        f64::from_bits(bits)
    }
}

/// A half format, by its definition and not by the core's own conversions.
pub trait Half: Float {
    fn format() -> &'static Format;
}

macro_rules! half {
    ($type:ident, $format:ident, $code:literal, $name:literal, digits: $digits:literal, smallest: $smallest:expr, nan: $nan:literal) => {
        impl Half for $type {
            fn format() -> &'static Format {
                Format::$format()
            }
        }

        impl Float for $type {
            const CODE: f64 = $code;
            const NAME: &'static str = $name;
            const SIGNIFICAND_BITS: u32 = $digits;
            const SMALLEST_NORMAL: f64 = $smallest;
            const CANONICAL_NAN: u64 = $nan;
            fn from_f64(x: f64) -> Self {
                $type(Self::format().nearest(x))
            }
            fn to_f64(self) -> f64 {
                Self::format().widen(self.0)
            }
            fn bits(self) -> u64 {
                self.0.into()
            }
            fn from_bits(bits: u64) -> Self {
                $type(bits as u16)
            }
        }
    };
}
half!(F16, f16, 2.0, "f16", digits: 11, smallest: 6.103_515_625e-5, nan: 0x7e00);
half!(Bf16, bf16, 3.0, "bf16", digits: 8, smallest: f32::SMALLEST_NORMAL, nan: 0x7fc0);

pub fn bits<F: Float>(vector: &[F]) -> Vec<u64> {
    vector.iter().map(|x| x.bits()).collect()
}

pub fn widen_one<F: Float>(vector: &[F]) -> Vec<f64> {
    vector.iter().map(|x| x.to_f64()).collect()
}

pub fn widen<F: Float>(vectors: &[Vec<F>]) -> Vec<Vec<f64>> {
    vectors.iter().map(|vector| widen_one(vector)).collect()
}

pub fn round_one<F: Float>(vector: &[f64]) -> Vec<F> {
    vector.iter().map(|&x| F::from_f64(x)).collect()
}

pub fn round<F: Float>(vectors: &[Vec<f64>]) -> Vec<Vec<F>> {
    vectors.iter().map(|vector| round_one(vector)).collect()
}

/// Calls a generic function with every element type.
macro_rules! for_dtypes {
    ($function:ident ( $($argument:expr),* )) => {{
        $function::<f32>($($argument),*);
        $function::<f64>($($argument),*);
        $function::<adasum_core::half::F16>($($argument),*);
        $function::<adasum_core::half::Bf16>($($argument),*);
    }};
}

/// Calls a generic function with every pair of an input and a result type.
macro_rules! for_results {
    ($function:ident ( $($argument:expr),* )) => {{
        $function::<f32, f32>($($argument),*);
        $function::<f64, f64>($($argument),*);
        $function::<adasum_core::half::F16, adasum_core::half::F16>($($argument),*);
        $function::<adasum_core::half::F16, f32>($($argument),*);
        $function::<adasum_core::half::Bf16, adasum_core::half::Bf16>($($argument),*);
        $function::<adasum_core::half::Bf16, f32>($($argument),*);
    }};
}

/// Calls a generic function with every pair whose result keeps at least the digits of f32.
macro_rules! for_fine_results {
    ($function:ident ( $($argument:expr),* )) => {{
        $function::<f32, f32>($($argument),*);
        $function::<f64, f64>($($argument),*);
        $function::<adasum_core::half::F16, f32>($($argument),*);
        $function::<adasum_core::half::Bf16, f32>($($argument),*);
    }};
}
pub(crate) use {for_dtypes, for_fine_results, for_results};
