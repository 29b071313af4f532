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
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        }
    }
}

/// Integers, which can be folded only. Their codes are the same in frames between ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    /// Code 5.
    U8,
    /// Code 9.
    I32,
    /// Code 10.
    U32,
    /// Code 11.
    I64,
    /// Code 12.
    U64,
}

/// Element types that can be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredDtype {
    /// A float, which can be reduced, too.
    Float(Dtype),
    /// An integer.
    Integer(Integer),
}

impl StoredDtype {
    /// The dtype with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        let integers =
            [(5.0, Integer::U8), (9.0, Integer::I32), (10.0, Integer::U32), (11.0, Integer::I64), (12.0, Integer::U64)];
        let integer = integers.into_iter().find(|&(known, _)| known == code).map(|(_, integer)| Self::Integer(integer));
        integer.or_else(|| Some(Self::Float(from_code(&Dtype::ALL, code)?))).ok_or_else(|| {
            argument_error!(
                "the dtype code is {code}, known are 0 (f32), 1 (f64), 2 (f16), 3 (bf16), 5 (u8), 9 (i32), 10 (u32), 11 (i64) \
                 and 12 (u64). Take it from DTYPE_CODES or INTEGER_CODES."
            )
        })
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

/// Operators that join elements without coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldOp {
    /// The sum modulo 2^bits, of integers; code 0.
    Sum,
    /// The smallest element; code 3.
    Min,
    /// The largest element; code 4.
    Max,
}

impl FoldOp {
    /// The operator with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        let all = [(0.0, Self::Sum), (3.0, Self::Min), (4.0, Self::Max)];
        all.into_iter().find(|&(known, _)| known == code).map(|(_, op)| op).ok_or_else(|| {
            argument_error!(
                "the operator code is {code}, folds are 0 (sum), 3 (min) and 4 (max). Take it from FOLD_OP_CODES."
            )
        })
    }
}

/// The rules by which optimizers step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRule {
    /// Gradient descent without state; code 0.
    Sgd,
    /// Gradient descent with momentum; code 1.
    Momentum,
    /// Adam and AdamW; code 2.
    Adam,
    /// LAMB; code 3.
    Lamb,
    /// Muon's direction, in place of the weights; code 4.
    Muon,
}

impl StepRule {
    /// All rules; the index is the code.
    pub const ALL: [StepRule; 5] = [StepRule::Sgd, StepRule::Momentum, StepRule::Adam, StepRule::Lamb, StepRule::Muon];

    /// The rule with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        from_code(&Self::ALL, code).ok_or_else(|| {
            argument_error!(
                "the rule code is {code}, known are 0 (sgd), 1 (momentum), 2 (adam), 3 (lamb) and 4 (muon). Take it from STEP_RULE_CODES."
            )
        })
    }
}

/// Formats in which f32 travels in fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// IEEE binary16; code 2.
    F16,
    /// bfloat16; code 3.
    Bf16,
    /// Integers of eight bits, and one scale for each block; code 4.
    Int8,
}

impl Format {
    /// The format with this code.
    pub fn from_code(code: f64) -> Result<Self> {
        let all = [(2.0, Self::F16), (3.0, Self::Bf16), (4.0, Self::Int8)];
        all.into_iter().find(|&(known, _)| known == code).map(|(_, format)| format).ok_or_else(|| {
            argument_error!(
                "the format code is {code}, known are 2 (f16), 3 (bf16) and 4 (int8). Take it from FORMAT_CODES."
            )
        })
    }
}

fn from_code<T: Copy>(all: &[T], code: f64) -> Option<T> {
    all.iter().enumerate().find(|&(index, _)| index as f64 == code).map(|(_, &item)| item)
}
