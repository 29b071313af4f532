//! Matrices over slices, and their product by the crate matrixmultiply.

/// A matrix for reading, in whatever order its elements lie.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    elements: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub fn new(elements: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(elements, rows, columns, columns)
    }

    /// Rows that begin `row_stride` elements after each other.
    pub fn strided(elements: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(elements.len() >= (rows - 1) * row_stride + columns, "a matrix reaches beyond its elements");
        Self { elements, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same elements, with rows as columns.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = scale * left * right + keep * out`; `out` has rows that begin `row_stride` elements after each other.
pub fn multiply(left: Matrix, right: Matrix, out: &mut [f32], row_stride: usize, [scale, keep]: [f32; 2]) {
    assert_eq!(left.columns, right.rows, "columns of the left matrix, and rows of the right one");
    assert!(out.len() >= (left.rows - 1) * row_stride + right.columns, "a product reaches beyond its elements");
    let stride = |count: usize| count as isize;
    // SAFETY: a matrix is made within its elements, which are borrowed, and the product within `out`, which is borrowed
    // alone, as was asserted.
    unsafe {
        matrixmultiply::sgemm(
            left.rows,
            left.columns,
            right.columns,
            scale,
            left.elements.as_ptr(),
            stride(left.row_stride),
            stride(left.column_stride),
            right.elements.as_ptr(),
            stride(right.row_stride),
            stride(right.column_stride),
            keep,
            out.as_mut_ptr(),
            stride(row_stride),
            1,
        );
    }
}

/// Whether a product replaces what was there.
pub const REPLACE: [f32; 2] = [1.0, 0.0];
/// Whether a product is added to what was there.
pub const ADD: [f32; 2] = [1.0, 1.0];
