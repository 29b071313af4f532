//! The shaders: a typed table of them, and their text.
//!
//! | kernel | reads | writes |
//! |---|---|---|
//! | gram | every input once for each tile it is in | partial sums: 8 bytes a pair of inputs and chunk |
//! | refine | every input once | the same, k + 1 sums |
//! | combine | every input once | the result |
//! | sum | two vectors | one of them |
//! | convert | a vector | a vector of another dtype |
//! | copy | a vector | a vector: the benchmark compares the others with it |
//! | trim | a table | a word a segment |
//!
//! All arithmetic is in f32; a sum that must not lose digits is kept as a pair of f32 (`shaders/shared/pair.wgsl`).

mod assemble;
mod pieces;

use std::collections::BTreeMap;

use adasum_core::dtype::Dtype;
use assemble::{Names, assemble};

use crate::error::{Error, Result};

/// Most inputs of a reduction.
pub const MAX_INPUTS: usize = 16;
/// Most inputs that lie in buffers of their own: a stage may bind eight buffers, and needs two for tables and results.
pub const MAX_SEPARATE_INPUTS: usize = 6;
/// Elements of a group: a thread loads a group at once, and all offsets are counted in groups.
pub const GROUP_ELEMENTS: usize = 4;
/// Threads of a workgroup.
pub const WORKGROUP_THREADS: usize = 64;
/// Most inputs of which one dispatch forms all products: more sums would not fit into registers.
const TRIANGLE_INPUTS: usize = 8;
/// Most inputs of the second list in a dispatch that forms the products of two lists.
const RECTANGLE_COLUMNS: usize = 4;

/// Element types that a device can reduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    Bf16,
}

impl Element {
    /// All of them.
    pub const ALL: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

    /// The element type of a dtype; none for f64, which WGSL does not have.
    pub fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::Bf16 => Some(Self::Bf16),
            Dtype::F64 => None,
        }
    }

    /// The element type with the code that dtypes have at the border to JavaScript.
    ///
    /// # Errors
    /// [`Error::Argument`] for a code that none has, [`Error::Unsupported`] for f64.
    pub fn from_code(code: f64) -> Result<Self> {
        let dtype = Dtype::from_code(code)?;
        Self::of(dtype).ok_or_else(|| {
            Error::Unsupported(format!("a device reduces f32, f16 and bf16, not {}. Use the CPU.", dtype.name()))
        })
    }

    /// The dtype it is.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::Bf16,
        }
    }

    /// Bytes of an element.
    pub fn byte_length(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Bytes of a group.
    pub fn group_bytes(self) -> usize {
        GROUP_ELEMENTS * self.byte_length()
    }

    /// The number whose magnitude has these bits; NaN is one of them.
    pub fn magnitude(self, bits: u32) -> f64 {
        match self {
            Self::F32 => f64::from(f32::from_bits(bits)),
            Self::F16 => adasum_core::half::F16(bits as u16).to_f64(),
            Self::Bf16 => adasum_core::half::Bf16(bits as u16).to_f64(),
        }
    }

    fn pieces(self) -> (&'static str, &'static str) {
        match self {
            Self::F32 => ("element_f32", "result_f32"),
            Self::F16 => ("element_f16", "result_f16"),
            Self::Bf16 => ("element_bf16", "result_bf16"),
        }
    }
}

/// How a device's compiler is kept from spoiling exact sums. The first that passes the device's self-test is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arithmetic {
    /// Sums pass through an operation that the compiler cannot see through.
    pub is_guarded: bool,
    /// `fma` rounds once, so that it gives a product's rounding error.
    pub is_fused: bool,
    /// The threads of a workgroup add their sums by subgroups, not through memory alone. It takes a device that has
    /// subgroups.
    pub by_subgroups: bool,
}

impl Arithmetic {
    /// All without subgroups, which every device can be asked for; the fastest is first.
    pub const ALL: [Arithmetic; 4] = [
        Arithmetic { is_guarded: false, is_fused: true, by_subgroups: false },
        Arithmetic { is_guarded: false, is_fused: false, by_subgroups: false },
        Arithmetic { is_guarded: true, is_fused: true, by_subgroups: false },
        Arithmetic { is_guarded: true, is_fused: false, by_subgroups: false },
    ];

    /// The same by subgroups.
    #[must_use]
    pub fn with_subgroups(self) -> Self {
        Self { by_subgroups: true, ..self }
    }

    /// Each of [`Arithmetic::ALL`], followed by the same by subgroups.
    pub fn all_ways() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().flat_map(|plain| [plain, plain.with_subgroups()])
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match (self.is_guarded, self.is_fused, self.by_subgroups) {
            (false, true, false) => "fused",
            (false, false, false) => "split",
            (true, true, false) => "guarded fused",
            (true, false, false) => "guarded split",
            (false, true, true) => "fused, by subgroups",
            (false, false, true) => "split, by subgroups",
            (true, true, true) => "guarded fused, by subgroups",
            (true, false, true) => "guarded split, by subgroups",
        }
    }
}

/// In which buffers inputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inputs {
    /// All in one buffer.
    Slab,
    /// Each in its own, which holds one segment of whole groups; at most [`MAX_SEPARATE_INPUTS`]. The result has one,
    /// too.
    Separate,
}

/// Inputs whose products one dispatch forms: the first `row_count` of `inputs` with those from `first_column` on, or
/// with those after themselves where that is further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Indices among all inputs.
    pub inputs: Vec<usize>,
    /// How many of them are rows.
    pub row_count: usize,
    /// Where columns begin.
    pub first_column: usize,
}

impl Tile {
    /// The tiles that together hold every pair of k inputs once.
    pub fn cover(k: usize) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for begin in (0..k).step_by(TRIANGLE_INPUTS) {
            let rows: Vec<usize> = (begin..k.min(begin + TRIANGLE_INPUTS)).collect();
            tiles.push(Tile { row_count: rows.len(), first_column: 0, inputs: rows.clone() });
            for column in (begin + TRIANGLE_INPUTS..k).step_by(RECTANGLE_COLUMNS) {
                let columns = column..k.min(column + RECTANGLE_COLUMNS);
                let (row_count, inputs) = (rows.len(), rows.iter().copied().chain(columns).collect());
                tiles.push(Tile { row_count, first_column: row_count, inputs });
            }
        }
        tiles
    }

    /// The pairs of inputs, in the order of their sums.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let columns = |i: usize| i.max(self.first_column)..self.inputs.len();
        (0..self.row_count).flat_map(move |i| columns(i).map(move |j| (self.inputs[i], self.inputs[j])))
    }

    /// Whether all inputs are multiplied with all others: only these tiles find magnitudes, each input's once.
    pub fn is_triangle(&self) -> bool {
        self.first_column == 0
    }
}

/// A shader, of which there is one for each set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kernel {
    /// Products of the inputs of a tile.
    Gram {
        /// Inputs of the tile.
        input_count: usize,
        /// See [`Tile`].
        row_count: usize,
        /// See [`Tile`].
        first_column: usize,
        /// Inputs are scaled by powers of two first.
        is_scaled: bool,
    },
    /// Products of a combination with all inputs.
    Refine {
        /// Inputs.
        input_count: usize,
        /// Inputs are scaled by powers of two first.
        is_scaled: bool,
    },
    /// A combination, stored.
    Combine {
        /// Inputs.
        input_count: usize,
        /// What is stored.
        result: Element,
    },
    /// Adds a vector to another.
    Sum,
    /// Stores a vector in another dtype.
    Convert {
        /// What is stored.
        result: Element,
    },
    /// Copies a vector.
    Copy,
    /// Clears the half word behind a segment of an odd number of two-byte elements.
    Trim,
}

impl Kernel {
    /// The Gram kernel of a tile.
    pub fn gram(tile: &Tile, is_scaled: bool) -> Self {
        let (input_count, row_count) = (tile.inputs.len(), tile.row_count);
        Self::Gram { input_count, row_count, first_column: tile.first_column, is_scaled }
    }

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gram { .. } => "gram",
            Self::Refine { .. } => "refine",
            Self::Combine { .. } => "combine",
            Self::Sum => "sum",
            Self::Convert { .. } => "convert",
            Self::Copy => "copy",
            Self::Trim => "trim",
        }
    }

    /// The WGSL text.
    pub fn wgsl(self, element: Element, arithmetic: Arithmetic, inputs: Inputs) -> String {
        let mut numbers = self.numbers();
        let k = numbers.get("K").copied().unwrap_or_default();
        let (rows, first) = (numbers.get("R").copied().unwrap_or_default(), numbers.get("FIRST").copied());
        let pairs: i64 = first.map_or(0, |first| (0..rows).map(|i| k - i.max(first)).sum());
        numbers.insert("PAIRS", pairs);
        numbers.insert("SUBGROUPS", i64::from(arithmetic.by_subgroups));
        let result = match self {
            Self::Combine { result, .. } | Self::Convert { result } => result,
            _ => element,
        };
        let pieces = BTreeMap::from([
            ("guard", if arithmetic.is_guarded { "guard_opaque" } else { "guard_plain" }),
            ("product", if arithmetic.is_fused { "product_fused" } else { "product_split" }),
            ("reduce", if arithmetic.by_subgroups { "reduce_subgroups" } else { "reduce_workgroup" }),
            ("element", element.pieces().0),
            ("result", result.pieces().1),
            ("inputs", if inputs == Inputs::Slab { "slab" } else { "separate" }),
            ("chunk", if inputs == Inputs::Slab { "chunk_table" } else { "chunk_call" }),
        ]);
        let numbers = numbers.into_iter().map(|(name, number)| (name.to_string(), number)).collect();
        assemble(self.name(), &Names { numbers, pieces })
    }

    fn numbers(self) -> BTreeMap<&'static str, i64> {
        match self {
            Self::Gram { input_count, row_count, first_column, is_scaled } => BTreeMap::from([
                ("K", input_count as i64),
                ("R", row_count as i64),
                ("FIRST", first_column as i64),
                ("SCALED", i64::from(is_scaled)),
                ("LARGEST", i64::from(first_column == 0 && !is_scaled)),
            ]),
            Self::Refine { input_count, is_scaled } => BTreeMap::from([
                ("K", input_count as i64),
                ("SCALED", i64::from(is_scaled)),
                ("WIDTH", input_count as i64 * if is_scaled { 2 } else { 1 }),
            ]),
            Self::Combine { input_count, .. } => BTreeMap::from([("K", input_count as i64)]),
            Self::Sum | Self::Convert { .. } | Self::Copy | Self::Trim => BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn tiles_hold_every_pair_once() {
        for k in 1..=MAX_INPUTS {
            let pairs: Vec<_> = Tile::cover(k).iter().flat_map(|tile| tile.pairs().collect::<Vec<_>>()).collect();
            let all: BTreeSet<_> = (0..k).flat_map(|i| (i..k).map(move |j| (i, j))).collect();
            assert_eq!(pairs.len(), all.len(), "{k}");
            assert_eq!(pairs.into_iter().collect::<BTreeSet<_>>(), all, "{k}");
            let looked_at = Tile::cover(k).into_iter().filter(Tile::is_triangle).flat_map(|tile| tile.inputs);
            assert_eq!(looked_at.collect::<Vec<_>>(), (0..k).collect::<Vec<_>>());
        }
    }
}
