//! Codes that cross the border to JavaScript as numbers.

use crate::error::{Result, argument_error};

/// Element types of the reduction core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE binary32, code 0.
    F32,
    /// IEEE binary64, code 1.
    F64,
    /// IEEE binary16, code 2; storage only.
    F16,
    /// bfloat16, code 3; storage only.
    Bf16,
}

impl Dtype {
    /// All dtypes; the index is the code.
    pub const ALL: [Dtype; 4] = [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16];

    /// The dtype with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        from_code(&Self::ALL, code).ok_or_else(|| {
            argument_error!(
                "the dtype code is {code}, known are 0 (f32), 1 (f64), 2 (f16) and 3 (bf16). Take it from DTYPE_CODES."
            )
        })
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        }
    }
}

/// Reduction operators: rules that turn a Gram matrix, or nothing at all, into coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Every coefficient is 1; code 0.
    Sum,
    /// Every coefficient is the input's part of the sum of all weights; code 1.
    Average,
    /// The coefficients of the count-weighted balanced tree; code 2.
    Adasum,
}

impl Op {
    /// All operators; the index is the code.
    pub const ALL: [Op; 3] = [Op::Sum, Op::Average, Op::Adasum];

    /// The operator with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        from_code(&Self::ALL, code).ok_or_else(|| {
            argument_error!(
                "the operator code is {code}, known are 0 (sum), 1 (average) and 2 (adasum). Take it from OP_CODES."
            )
        })
    }
}

fn from_code<T: Copy>(all: &[T], code: f64) -> Option<T> {
    all.iter().enumerate().find(|&(index, _)| index as f64 == code).map(|(_, &item)| item)
}
