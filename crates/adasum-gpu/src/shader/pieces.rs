//! The WGSL files, by name.

macro_rules! pieces {
    ($($name:literal: $path:literal,)*) => {
        /// The text of a piece.
        pub(super) fn piece(name: &str) -> &'static str {
            match name {
                $($name => include_str!(concat!("../../shaders/", $path)),)*
                _ => panic!("there is no piece {name}"),
            }
        }
    };
}

pieces! {
    "combine": "combine.wgsl",
    "convert": "convert.wgsl",
    "copy": "copy.wgsl",
    "gram": "gram.wgsl",
    "refine": "refine.wgsl",
    "sum": "sum.wgsl",
    "trim": "trim.wgsl",
    "call": "shared/call.wgsl",
    "chunk_call": "shared/chunk_call.wgsl",
    "chunk_table": "shared/chunk_table.wgsl",
    "element_bf16": "shared/element_bf16.wgsl",
    "element_f16": "shared/element_f16.wgsl",
    "element_f32": "shared/element_f32.wgsl",
    "guard_opaque": "shared/guard_opaque.wgsl",
    "guard_plain": "shared/guard_plain.wgsl",
    "halves": "shared/halves.wgsl",
    "narrow_halves": "shared/narrow_halves.wgsl",
    "pair": "shared/pair.wgsl",
    "product_fused": "shared/product_fused.wgsl",
    "product_split": "shared/product_split.wgsl",
    "reduce_subgroups": "shared/reduce_subgroups.wgsl",
    "reduce_workgroup": "shared/reduce_workgroup.wgsl",
    "result_bf16": "shared/result_bf16.wgsl",
    "result_f16": "shared/result_f16.wgsl",
    "result_f32": "shared/result_f32.wgsl",
    "separate": "shared/separate.wgsl",
    "slab": "shared/slab.wgsl",
}
