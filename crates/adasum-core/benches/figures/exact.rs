//! What the kernels should have found.

use std::ops::Range;

use crate::number::Vector;

/// Largest error of a product, relative to the norms of its two vectors.
pub fn gram_error(inputs: &[Vector], products: &[f64]) -> f64 {
    let pairs: Vec<_> = (0..inputs.len()).flat_map(|i| (i..inputs.len()).map(move |j| (i, j))).collect();
    let exact: Vec<_> = pairs.iter().map(|&(i, j)| dot(&inputs[i], &inputs[j])).collect();
    let norm = |i: usize| {
        let index = pairs.iter().position(|&pair| pair == (i, i)).unwrap();
        exact[index].sqrt()
    };
    let norms: Vec<_> = (0..inputs.len()).map(norm).collect();
    let errors = pairs
        .iter()
        .zip(exact.iter().zip(products))
        .map(|(&(i, j), (want, got))| (want - got).abs() / (norms[i] * norms[j]));
    errors.fold(0.0, f64::max)
}

/// Compensated: both the rounding of each product and that of each addition are kept (Ogita, Rump, Oishi: Dot2).
fn dot(a: &Vector, b: &Vector) -> f64 {
    let (mut sum, mut rest) = (0.0_f64, 0.0_f64);
    for i in 0..a.element_count {
        let (x, y) = (a.get(i), b.get(i));
        let product = x * y;
        let total = sum + product;
        let part = total - sum;
        rest += x.mul_add(y, -product) + ((sum - (total - part)) + (product - part));
        sum = total;
    }
    sum + rest
}

/// Largest relative error of a stored combination.
pub fn combination_error(inputs: &[Vector], coefficients: &[f64], out: &Vector, elements: Range<usize>) -> f64 {
    let error = |i: usize| {
        let want: f64 = inputs.iter().zip(coefficients).map(|(input, c)| c * input.get(i)).sum();
        if want == 0.0 { out.get(i).abs() } else { ((out.get(i) - want) / want).abs() }
    };
    elements.map(error).fold(0.0, f64::max)
}
