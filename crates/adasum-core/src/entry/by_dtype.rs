//! Calls of generic functions by the codes of dtypes.

/// Calls a generic function with the element type of a dtype code.
macro_rules! with_element {
    ($code:expr, $function:ident ( $($argument:expr),* )) => {{
        use $crate::dtype::Dtype;
        use $crate::half::{Bf16, F16};
        match Dtype::from_code($code)? {
            Dtype::F32 => $function::<f32>($($argument),*),
            Dtype::F64 => $function::<f64>($($argument),*),
            Dtype::F16 => $function::<F16>($($argument),*),
            Dtype::Bf16 => $function::<Bf16>($($argument),*),
        }
    }};
}
pub(super) use with_element;

/// The same with the element types of the inputs and of the result: equal ones, or f32 from a half format.
macro_rules! with_elements {
    ($code:expr, $result_code:expr, $function:ident ( $($argument:expr),* )) => {{
        use $crate::dtype::Dtype;
        use $crate::half::{Bf16, F16};
        match (Dtype::from_code($code)?, Dtype::from_code($result_code)?) {
            (Dtype::F32, Dtype::F32) => $function::<f32, f32>($($argument),*),
            (Dtype::F64, Dtype::F64) => $function::<f64, f64>($($argument),*),
            (Dtype::F16, Dtype::F16) => $function::<F16, F16>($($argument),*),
            (Dtype::F16, Dtype::F32) => $function::<F16, f32>($($argument),*),
            (Dtype::Bf16, Dtype::Bf16) => $function::<Bf16, Bf16>($($argument),*),
            (Dtype::Bf16, Dtype::F32) => $function::<Bf16, f32>($($argument),*),
            (inputs, result) => Err($crate::error::argument_error!(
                "the inputs are {}, the result is {}. Use one dtype, or f32 for the result of f16 or bf16.",
                inputs.name(),
                result.name()
            )),
        }
    }};
}
pub(super) use with_elements;
