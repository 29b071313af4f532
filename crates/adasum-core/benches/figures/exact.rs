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

/// Newton-Schulz iterations by their definition, x <- a x + (b g + c g g) x with g = x x', on the short side.
pub fn orthogonalized(matrix: Vec<f64>, rows: usize, norm_added: f64, iterations: &[[f64; 3]]) -> Vec<f64> {
    let columns = matrix.len() / rows;
    if rows > columns {
        let turned = orthogonalized(transposed(&matrix, columns), columns, norm_added, iterations);
        return transposed(&turned, rows);
    }
    let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt() + norm_added;
    let mut x: Vec<f64> = matrix.iter().map(|x| x / norm).collect();
    for [a, b, c] in iterations {
        let gram = product(&x, &transposed(&x, columns), rows);
        let square = product(&gram, &gram, rows);
        let polynomial: Vec<_> = gram.iter().zip(&square).map(|(g, s)| b * g + c * s).collect();
        let moved = product(&polynomial, &x, rows);
        x = x.iter().zip(&moved).map(|(x, m)| a * x + m).collect();
    }
    x
}

fn transposed(matrix: &[f64], columns: usize) -> Vec<f64> {
    let rows = matrix.len() / columns;
    (0..matrix.len()).map(|i| matrix[i % rows * columns + i / rows]).collect()
}

/// Row by row, so that the inner loop runs over neighbours.
fn product(left: &[f64], right: &[f64], rows: usize) -> Vec<f64> {
    let terms = left.len() / rows;
    let columns = right.len() / terms;
    let mut out = vec![0.0; rows * columns];
    for (row, factors) in out.chunks_exact_mut(columns).zip(left.chunks_exact(terms)) {
        for (factor, others) in factors.iter().zip(right.chunks_exact(columns)) {
            row.iter_mut().zip(others).for_each(|(sum, other)| *sum += factor * other);
        }
    }
    out
}
