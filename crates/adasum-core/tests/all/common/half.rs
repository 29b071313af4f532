//! The half formats as IEEE 754 words them: a table of all numbers, and rounding by looking for the nearest one. It shares
//! no line, and no idea, with the core.

use std::sync::OnceLock;

/// What tells f16 and bf16 apart. Both have 16 bits, one of them the sign.
pub struct Format {
    fraction_bits: u32,
    /// Entry i is the number with the bits i. The last stands for infinity: the number that would come next if the
    /// exponents went on, from which what lies beyond the largest number is as far as rounding to nearest wants it.
    numbers: Vec<f64>,
}

impl Format {
    /// IEEE binary16.
    pub fn f16() -> &'static Self {
        static FORMAT: OnceLock<Format> = OnceLock::new();
        FORMAT.get_or_init(|| Self::new(10))
    }

    /// bfloat16.
    pub fn bf16() -> &'static Self {
        static FORMAT: OnceLock<Format> = OnceLock::new();
        FORMAT.get_or_init(|| Self::new(7))
    }

    fn new(fraction_bits: u32) -> Self {
        let largest_exponent = (1 << (15 - fraction_bits)) - 1;
        let infinity: u16 = largest_exponent << fraction_bits;
        let bias = i32::from(largest_exponent / 2);
        let number = |bits: u16| {
            let (exponent, fraction) = (i32::from(bits >> fraction_bits), f64::from(bits % (1 << fraction_bits)));
            let scale = 2_f64.powi(exponent.max(1) - bias - fraction_bits as i32);
            scale * if exponent == 0 { fraction } else { f64::from(1 << fraction_bits) + fraction }
        };
        Self { fraction_bits, numbers: (0..=infinity).map(number).collect() }
    }

    /// The bits of positive infinity.
    pub fn infinity(&self) -> u16 {
        (self.numbers.len() - 1) as u16
    }

    /// Positive, quiet, without a payload.
    pub fn canonical_nan(&self) -> u16 {
        self.infinity() | 1 << (self.fraction_bits - 1)
    }

    /// The numbers from +0 to the one that would come after the largest, ascending; the index is the bits.
    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    pub fn widen(&self, bits: u16) -> f64 {
        let magnitude = bits & 0x7fff;
        let widened = match magnitude {
            _ if magnitude > self.infinity() => f64::NAN,
            _ if magnitude == self.infinity() => f64::INFINITY,
            _ => self.numbers[usize::from(magnitude)],
        };
        if bits == magnitude { widened } else { -widened }
    }

    /// The nearest number; of two that are equally near the one whose last bit is 0.
    pub fn nearest(&self, x: f64) -> u16 {
        if x.is_nan() {
            return self.canonical_nan();
        }
        let magnitude = x.abs();
        let above = self.numbers.partition_point(|&number| number <= magnitude);
        let low = above - 1; // +0 is never above.
        let nearest = match self.numbers.get(above) {
            None => low,
            // Between two neighbours the smaller distance is exact, so the comparison is right.
            Some(high) => match (magnitude - self.numbers[low]).total_cmp(&(high - magnitude)) {
                std::cmp::Ordering::Less => low,
                std::cmp::Ordering::Greater => above,
                std::cmp::Ordering::Equal => low + low % 2,
            },
        };
        nearest as u16 | if x.is_sign_negative() { 0x8000 } else { 0 }
    }
}
