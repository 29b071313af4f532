//! Elementwise folds, which need no coefficients: minimum and maximum, and the sum of integers.

use super::reduction::input_elements;
use super::threads::{Shared, part_count, ranges, run_jobs};
use super::view::{Exclusive, View, ViewMut};
use crate::dtype::{Dtype, FoldOp, Integer, StoredDtype};
use crate::element::Foldable;
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::half::{Bf16, F16};

impl Engine {
    /// Joins all inputs, element by element, into `out`. Floats have the minimum and the maximum only. `out` may be
    /// exactly one of the inputs.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn fold(self, op: f64, dtype: f64, inputs: &[View<'_>], out: ViewMut<'_>) -> Result<()> {
        let op = FoldOp::from_code(op)?;
        match StoredDtype::from_code(dtype)? {
            StoredDtype::Float(Dtype::F32) => fold::<f32>(self, op, inputs, out),
            StoredDtype::Float(Dtype::F64) => fold::<f64>(self, op, inputs, out),
            StoredDtype::Float(Dtype::F16) => fold::<F16>(self, op, inputs, out),
            StoredDtype::Float(Dtype::Bf16) => fold::<Bf16>(self, op, inputs, out),
            StoredDtype::Integer(Integer::U8) => fold::<u8>(self, op, inputs, out),
            StoredDtype::Integer(Integer::I32) => fold::<i32>(self, op, inputs, out),
            StoredDtype::Integer(Integer::U32) => fold::<u32>(self, op, inputs, out),
            StoredDtype::Integer(Integer::I64) => fold::<i64>(self, op, inputs, out),
            StoredDtype::Integer(Integer::U64) => fold::<u64>(self, op, inputs, out),
        }
    }
}

fn fold<E: Foldable>(engine: Engine, op: FoldOp, inputs: &[View<'_>], out: ViewMut<'_>) -> Result<()> {
    let folds = E::folds(engine.table);
    let kernel = match op {
        FoldOp::Min => Some(folds.min),
        FoldOp::Max => Some(folds.max),
        FoldOp::Sum => folds.sum,
    };
    let kernel = kernel.ok_or_else(|| {
        argument_error!(
            "the operator code is 0 (sum) and the dtype {}, but floats have 2 folds, 3 (min) and 4 (max). Add them with reduce.",
            E::NAME
        )
    })?;
    let element_count = out.byte_length() / size_of::<E>();
    let elements = input_elements::<E>(inputs, element_count)?;
    let out_elements = out.elements::<E>("out", element_count)?;
    Exclusive::reading(inputs).writing_in_place("out", out)?;
    let parts = part_count(engine.threads, element_count * inputs.len() * size_of::<E>());
    let (elements, out) = (Shared::new(&elements), Shared::new(out_elements));
    // SAFETY: the engine's instruction set is available, the elements lie in the checked length of inputs and out, and
    // no two threads get the same ones.
    run_jobs(ranges(element_count, parts).collect(), |range| unsafe { kernel(elements.get(), range, out.get()) });
    Ok(())
}
