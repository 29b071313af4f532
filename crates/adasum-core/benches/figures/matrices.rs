//! Muon's orthogonalization. Its limit is the rate of multiplications and additions that are rounded apart, in the
//! registers of the same instruction set. The textbook form is the same on the scalar instruction set.

use std::hint::black_box;
use std::ops::{Add, Mul};

use adasum_core::Engine;
use adasum_core::dtype::Dtype;
use adasum_core::entry::{View, ViewMut};

use crate::exact::orthogonalized;
use crate::limits::seconds;
use crate::number::{Numbers, Vector};

/// Five times those of Muon.
const COEFFICIENTS: [[f64; 3]; 5] = [[3.4445, -4.775, 2.0315]; 5];
const NORM_ADDED: f64 = 1e-7;

pub struct MatrixCase {
    pub dtype: Dtype,
    pub rows: usize,
    pub columns: usize,
}

pub fn matrix_cases(is_quick: bool) -> Vec<MatrixCase> {
    let shapes: &[_] =
        if is_quick { &[(48, 64)] } else { &[(64, 64), (256, 256), (1024, 1024), (768, 3072), (3072, 768)] };
    let of = |dtype| shapes.iter().map(move |&(rows, columns)| MatrixCase { dtype, rows, columns });
    of(Dtype::F32).chain(of(Dtype::F64)).collect()
}

impl MatrixCase {
    /// Multiplications and additions: two symmetric products, of which half is computed, and a third one.
    pub fn operations(&self) -> f64 {
        let [short, long] = [self.rows.min(self.columns), self.rows.max(self.columns)].map(|side| side as f64);
        COEFFICIENTS.len() as f64 * (short * (short + 1.0) * (long + short) + 2.0 * short * short * long)
    }

    pub fn prepare(&self, engine: Engine) -> MatrixWork<'_> {
        MatrixWork { case: self, engine, matrix: self.matrix() }
    }

    fn matrix(&self) -> Vector {
        let value = |e: usize| ((e * 7919 + e / 13) % 1013) as f64 / 500.0 - 1.0;
        Vector::new(self.dtype, self.rows * self.columns, value)
    }

    /// What loops in f64 make of the matrix.
    pub fn exact(&self) -> Vec<f64> {
        let matrix = self.matrix();
        let values = (0..matrix.element_count).map(|i| matrix.get(i)).collect();
        orthogonalized(values, self.rows, NORM_ADDED, &COEFFICIENTS)
    }

    /// Operations a second in registers.
    pub fn limit(&self, isa: &str) -> f64 {
        match self.dtype {
            Dtype::F32 => rate::<f32, 4, 8, 16>(isa),
            _ => rate::<f64, 2, 4, 8>(isa),
        }
    }
}

pub struct MatrixWork<'a> {
    case: &'a MatrixCase,
    engine: Engine,
    matrix: Vector,
}

impl MatrixWork<'_> {
    /// Seconds of one orthogonalization.
    pub fn run(&mut self) -> f64 {
        let repeats = ((1e8 / self.case.operations()) as usize).clamp(1, 100);
        seconds(repeats, || self.orthogonalize())
    }

    /// The largest error of an element, relative to the largest element.
    pub fn max_relative_error(&mut self, exact: &[f64]) -> f64 {
        self.matrix = self.case.matrix();
        self.orthogonalize();
        let largest = exact.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let errors = exact.iter().enumerate().map(|(i, want)| (self.matrix.get(i) - want).abs() / largest);
        // `max` would drop what is no number.
        errors.fold(0.0, |worst, error| if error <= worst { worst } else { error })
    }

    fn orthogonalize(&mut self) {
        let factors = [&[NORM_ADDED, 0.0], COEFFICIENTS.as_flattened()].concat();
        let shape = [self.case.rows as f64, self.case.columns as f64];
        let (code, matrix) = (self.case.dtype.code(), ViewMut::of(self.matrix.bytes_mut()));
        self.engine.orthogonalize(code, shape, View::of(&factors), matrix).unwrap();
    }
}

/// Independent sums, so that none waits for the one before it.
const CHAINS: usize = 12;
const REPEATS: usize = 50_000;

trait Number: Copy + Add<Output = Self> + Mul<Output = Self> + From<f32> {}
impl<E: Copy + Add<Output = E> + Mul<Output = E> + From<f32>> Number for E {}

#[inline(always)]
fn chains<E: Number, const WIDTH: usize>() {
    let mut sums = [[E::from(1.0); WIDTH]; CHAINS];
    let (factor, term) = (black_box([E::from(0.999_999); WIDTH]), black_box([E::from(1e-9); WIDTH]));
    for _ in 0..REPEATS {
        for sum in &mut sums {
            for lane in 0..WIDTH {
                sum[lane] = sum[lane] * factor[lane] + term[lane];
            }
        }
    }
    black_box(sums);
}

/// Operations a second. The lengths are those of what registers of 16, 32 and 64 bytes hold.
fn rate<E: Number, const SHORT: usize, const MIDDLE: usize, const LONG: usize>(isa: &str) -> f64 {
    let (width, time) = match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an engine of this instruction set is available.
        "avx512" => (LONG, seconds(1, || unsafe { x86::avx512(size_of::<E>()) })),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        "avx2" => (MIDDLE, seconds(1, || unsafe { x86::avx2::<E, MIDDLE>() })),
        _ => (SHORT, seconds(1, chains::<E, SHORT>)),
    };
    (2 * REPEATS * CHAINS * width) as f64 / time
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    #[target_feature(enable = "avx2")]
    pub fn avx2<E: Number, const WIDTH: usize>() {
        chains::<E, WIDTH>();
    }

    /// By intrinsics: the compiler does not make registers of 64 bytes of the loop.
    #[target_feature(enable = "avx512f")]
    pub fn avx512(byte_length: usize) {
        let (narrow, wide) = (black_box(_mm512_set1_ps(0.999_999)), black_box(_mm512_set1_pd(0.999_999)));
        if byte_length == 4 {
            let mut sums = [narrow; CHAINS];
            for _ in 0..REPEATS {
                sums.iter_mut().for_each(|sum| *sum = _mm512_add_ps(_mm512_mul_ps(*sum, narrow), narrow));
            }
            black_box(sums);
        } else {
            let mut sums = [wide; CHAINS];
            for _ in 0..REPEATS {
                sums.iter_mut().for_each(|sum| *sum = _mm512_add_pd(_mm512_mul_pd(*sum, wide), wide));
            }
            black_box(sums);
        }
    }
}
