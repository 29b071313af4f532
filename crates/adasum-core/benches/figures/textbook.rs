//! The loops that everybody writes first: one element at a time, sums in f64.

use adasum_core::dtype::Dtype;

use crate::number::{Numbers, Vector};

/// Upper triangle of the products, three f64 sums for two vectors.
pub fn gram(inputs: &[Vector], element_count: usize) -> Vec<f64> {
    let mut products = Vec::new();
    for (i, a) in inputs.iter().enumerate() {
        for b in &inputs[i + 1..] {
            let [ab, aa, bb] = three_sums(a, b, element_count);
            products.extend([ab, aa, bb]);
        }
    }
    products
}

fn three_sums(a: &Vector, b: &Vector, element_count: usize) -> [f64; 3] {
    match a.dtype {
        Dtype::F32 => sums_of::<4>(a, b, element_count),
        Dtype::F64 => sums_of::<8>(a, b, element_count),
        Dtype::F16 | Dtype::Bf16 => sums_of::<2>(a, b, element_count),
    }
}

fn sums_of<const WIDTH: usize>(a: &Vector, b: &Vector, element_count: usize) -> [f64; 3] {
    let dtype = a.dtype;
    let elements = |vector| Vector::bytes(vector).as_chunks::<WIDTH>().0[..element_count].iter();
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in elements(a).zip(elements(b)) {
        let (x, y) = (dtype.read(x), dtype.read(y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    [ab, aa, bb]
}

/// out = sum of coefficient * input, input after input.
pub fn combine(inputs: &[Vector], coefficients: &[f64], out: &mut Vector) {
    let (dtype, width) = (out.dtype, out.dtype.byte_length());
    for i in 0..out.element_count {
        let sum = inputs.iter().zip(coefficients).fold(0.0, |sum, (input, c)| sum + c * input.get(i));
        dtype.write(sum, &mut out.bytes_mut()[i * width..][..width]);
    }
}
