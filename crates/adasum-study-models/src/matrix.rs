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

/// What happens to what was there: it is multiplied by `keep`, and `scale` times the product is added.
#[derive(Clone, Copy)]
pub struct Scales {
    /// Of the product.
    pub scale: f32,
    /// Of what was there.
    pub keep: f32,
}

/// A product is added to what was there.
pub const ADD: Scales = Scales { scale: 1.0, keep: 1.0 };
/// A product replaces what was there.
pub const REPLACE: Scales = Scales { scale: 1.0, keep: 0.0 };

/// Puts `left` times `right` into `out`, whose rows begin `row_stride` elements after each other.
pub fn multiply_into(left: Matrix, right: Matrix, out: &mut [f32], row_stride: usize, scales: Scales) {
    assert!(out.len() >= (left.rows - 1) * row_stride + right.columns, "a product reaches beyond its elements");
    // SAFETY: the rows lie within `out`, as was asserted, which is borrowed alone and initialized.
    unsafe { product(left, right, out.as_mut_ptr(), row_stride, scales) }
}

/// `left` times `right`, row after row.
pub fn multiply(left: Matrix, right: Matrix) -> Vec<f32> {
    let length = left.rows * right.columns;
    let mut out = Vec::with_capacity(length);
    // SAFETY: the rows lie within the capacity. What is there is not read, since nothing of it is kept, and all of it is
    // written, so that it is initialized afterwards.
    unsafe {
        product(left, right, out.as_mut_ptr(), right.columns, REPLACE);
        out.set_len(length);
    }
    out
}

/// # Safety
///
/// `out` is alone on as many rows as `left` has, with as many columns as `right` has. They are initialized unless `keep` is 0.
unsafe fn product(left: Matrix, right: Matrix, out: *mut f32, row_stride: usize, Scales { scale, keep }: Scales) {
    assert_eq!(left.columns, right.rows, "columns of the left matrix, and rows of the right one");
    let stride = |count: usize| count as isize;
    // SAFETY: a matrix was made within its elements, which are borrowed; `out` is as the caller promises.
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
            out,
            stride(row_stride),
            1,
        );
    }
}
