//! The nearest matrix with orthogonal rows or columns, nearly: what Muon makes of each direction.
//!
//! The Newton-Schulz iteration applies an odd polynomial to all singular values at once, by products of matrices alone:
//! X <- a X + (b A + c A A) X with A = X X^T. Coefficients that bring values from (0, 1] near 1 in a few iterations,
//! however small they are, leave them between 0.7 and 1.2 or so (K. Jordan 2024, kellerjordan.github.io/posts/muon).

use super::layout::{Piece, count_of};
use super::reduction::Reduction;
use super::threads::{part_count, row_ranges, run_jobs};
use super::view::{View, ViewMut};
use crate::blocks::Accumulator;
use crate::dtype::Dtype;
use crate::element::Real;
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::kernel;
use crate::kernel::multiply::blend;
use crate::kernel::table::{Factor, Product, TILE_ROWS};

/// No coefficients need more, and a call comes to its end.
const MOST_ITERATIONS: usize = 100;
/// Products and additions that take about as long as reading a byte does.
const TERMS_PER_BYTE: usize = 4;

impl Engine {
    /// Divides a matrix by its norm, `max(|X| + added, least)`, and iterates X = a X + (b A + c A A) X, with A = X X^T; or
    /// the same on the transpose, if the matrix has more rows than columns. `factors` are added, least, then a, b and c of
    /// each iteration. In place; a matrix whose divisor is zero is left as it is.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn orthogonalize(
        self,
        dtype: f64,
        [rows, columns]: [f64; 2],
        factors: View<'_>,
        matrix: ViewMut<'_>,
    ) -> Result<()> {
        match Dtype::from_code(dtype)? {
            Dtype::F32 => orthogonalize::<f32>(self, [rows, columns], factors, matrix),
            Dtype::F64 => orthogonalize::<f64>(self, [rows, columns], factors, matrix),
            dtype => Err(argument_error!(
                "the dtype is {}, matrices are multiplied in f32 or f64. Keep the matrix as one of these.",
                dtype.name()
            )),
        }
    }
}

fn orthogonalize<E: Real>(
    engine: Engine,
    [rows, columns]: [f64; 2],
    factors: View<'_>,
    matrix: ViewMut<'_>,
) -> Result<()> {
    let sides = [count_of("rows", rows)?, count_of("columns", columns)?];
    let factors = factors.doubles("factors")?;
    let (norm, iterations) = read_factors(&factors)?;
    let count = usize::try_from(u128::from(sides[0]) * u128::from(sides[1])).map_err(|_| {
        argument_error!("{rows} rows of {columns} elements exceed the address space. Check the lengths.")
    })?;
    let elements = matrix.elements::<E>("matrix", count)?;
    if count == 0 {
        return Ok(());
    }
    // SAFETY: so many elements were found there, aligned. The factors were copied, and nobody else touches the matrix.
    let matrix = unsafe { std::slice::from_raw_parts_mut(elements, count) };
    if normalize(engine, norm, matrix) {
        iterate(engine, sides.map(|side| side as usize), iterations, matrix);
        matrix.iter_mut().for_each(|x| *x = x.canonical());
    }
    Ok(())
}

/// `[added, least]`, which keep the divisor from being zero, and the coefficients of each iteration.
fn read_factors(factors: &[f64]) -> Result<(&[f64; 2], &[[f64; 3]])> {
    let parts = factors.split_first_chunk().map(|(norm, coefficients)| (norm, coefficients.as_chunks()));
    match parts {
        Some((norm, (iterations, []))) if iterations.len() <= MOST_ITERATIONS => Ok((norm, iterations)),
        _ => Err(argument_error!(
            "`factors` has {} numbers. Give two, and three an iteration, of {MOST_ITERATIONS} iterations at most.",
            factors.len()
        )),
    }
}

/// Divides the matrix by its norm, unless the divisor is zero.
fn normalize<E: Real>(engine: Engine, &[added, least]: &[f64; 2], matrix: &mut [E]) -> bool {
    let mut squares = Accumulator::new(0, 1);
    let whole = Piece::whole(0, matrix.len());
    let square = Reduction::new(engine, vec![matrix.as_ptr()]).gram(&whole, &mut squares, None)[0];
    let divisor = square.sqrt() + added;
    // What is NaN stays NaN.
    let divisor = E::of(if divisor < least { least } else { divisor });
    if divisor == E::ZERO {
        return false;
    }
    matrix.iter_mut().for_each(|x| *x = *x / divisor);
    true
}

fn iterate<E: Real>(engine: Engine, [rows, columns]: [usize; 2], iterations: &[[f64; 3]], matrix: &mut [E]) {
    let is_tall = rows > columns;
    let [short, long] = if is_tall { [columns, rows] } else { [rows, columns] };
    let mut x = if is_tall { transposed(matrix, columns) } else { matrix.to_vec() };
    let mut next = vec![E::ZERO; x.len()];
    let (mut gram, mut polynomial) = (vec![E::ZERO; short * short], vec![E::ZERO; short * short]);
    for &[a, b, c] in iterations {
        let lines = Factor { elements: &x, is_line_by_line: true, stride: long };
        let square = Product { left: lines, right: lines, columns: short, terms: long, is_symmetric: true };
        multiply(engine, &square, short, &mut gram);
        let lines = Factor { elements: &gram, is_line_by_line: true, stride: short };
        multiply(engine, &Product { left: lines, right: lines, terms: short, ..square }, short, &mut polynomial);
        blend(E::of(b), &gram, E::of(c), &mut polynomial);
        let product = Product {
            left: Factor { elements: &polynomial, is_line_by_line: true, stride: short },
            right: Factor { elements: &x, is_line_by_line: false, stride: long },
            columns: long,
            terms: short,
            is_symmetric: false,
        };
        multiply(engine, &product, short, &mut next);
        blend(E::of(a), &x, E::of(1.0), &mut next);
        std::mem::swap(&mut x, &mut next);
    }
    matrix.copy_from_slice(&if is_tall { transposed(&x, rows) } else { x });
}

/// The matrix with rows of `columns` elements, turned. In squares, so that both sides stay in the cache.
fn transposed<E: Real>(matrix: &[E], columns: usize) -> Vec<E> {
    const SIDE: usize = 32;
    let rows = matrix.len() / columns;
    let mut out = vec![E::ZERO; matrix.len()];
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for row in top..rows.min(top + SIDE) {
                for column in left..columns.min(left + SIDE) {
                    out[column * rows + row] = matrix[row * columns + column];
                }
            }
        }
    }
    out
}

/// All rows of a product, by as many threads as are worth it.
fn multiply<E: Real>(engine: Engine, product: &Product<'_, E>, rows: usize, out: &mut [E]) {
    let steps = E::steps(engine.table);
    let products = rows.saturating_mul(product.columns).saturating_mul(product.terms);
    let parts = part_count(engine.threads, products / TERMS_PER_BYTE);
    let mut rest = &mut *out;
    let mut jobs = Vec::with_capacity(parts);
    for range in row_ranges(rows, parts, TILE_ROWS, product.is_symmetric) {
        let (own, others) = rest.split_at_mut(range.len() * product.columns);
        jobs.push((range, own));
        rest = others;
    }
    // SAFETY: the engine's instruction set is available.
    run_jobs(jobs, |(range, out)| unsafe { kernel::multiply::multiply(steps, product, range, out) });
    if product.is_symmetric {
        for row in 1..rows {
            for column in 0..row {
                out[row * rows + column] = out[column * rows + row];
            }
        }
    }
}
