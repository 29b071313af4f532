//! The mathematics of adasum.
//!
//! **What it computes.** Adasum (arXiv 2006.02924) combines the gradients of several workers so that orthogonal
//! gradients add and parallel ones average. Over n inputs it is a tree of pairwise combinations, and every such tree
//! equals `sum c_i g_i`, where the coefficients c depend on the inner products K_ij = g_i . g_j alone. So there are
//! three steps, per segment (layer):
//!
//! ```text
//! gram          K_ij = g_i . g_j            reads every input once      kernel/gram.rs
//! coefficients  c from K                    no vectors at all           coefficients/
//! combine       out = sum c_i g_i           reads every input once      kernel/combine.rs
//! ```
//!
//! Sum and average are the same combine with constant coefficients. Minimum and maximum, and all operators on integers,
//! are folds, element by element (kernel/fold.rs). Elements may be quantised before they are sent (kernel/quantize.rs).
//!
//! **What it promises.** Equal inputs give equal bits: on every CPU and instruction set, however a vector is cut over
//! ranks, and in whatever order the parts arrive. [`blocks`] fixes the order of additions, `simd` the arithmetic, and
//! combine rounds once.
//!
//! **Modules.**
//!
//! | module | holds |
//! |---|---|
//! | [`entry`] | the byte-level entry points and all checks on arguments: what the bindings call |
//! | [`blocks`] | the canonical order of additions; cutting and rejoining partial sums |
//! | [`coefficients`] | the count-weighted balanced tree, zero vectors, cancellation and refinement |
//! | `kernel` | the loops over elements, one generic body each |
//! | `rules` | minimum, maximum and integer sums, which are folded without coefficients |
//! | `simd` | instruction sets, one file each |
//! | `element`, [`half`], [`dtype`] | element types, the half formats, and the codes of dtypes and operators |
//! | [`Engine`] | which instruction set runs |
//!
//! ```
//! use adasum_core::{Engine, entry::{Results, View, ViewMut}};
//!
//! let (a, b) = ([1.0_f32, 0.0], [0.0_f32, 1.0]); // orthogonal: Adasum is the sum
//! let (mut out, mut stats) = ([0.0_f32; 2], [0.0_f64; 4]);
//! Engine::active()?.reduce(
//!     2.0, // adasum
//!     0.0, // f32 in
//!     0.0, // f32 out
//!     &[View::of(&a), View::of(&b)],
//!     View::of(&[1.0, 1.0]), // one rank's vector each
//!     View::of(&[2.0, 0.0, 2.0]), // one segment of two elements, from its first element, both of them
//!     Results { out: ViewMut::of(&mut out), nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) },
//! )?;
//! assert_eq!(out, [1.0, 1.0]);
//! assert_eq!(stats, [1.0, 2.0, 1.0, 1.0]); // orthogonality, sum of the squared norms, coefficients
//! # Ok::<(), adasum_core::Error>(())
//! ```

pub mod blocks;
pub mod coefficients;
pub mod dtype;
mod element;
mod engine;
pub mod entry;
mod error;
pub mod half;
mod kernel;
mod rules;
mod simd;

pub use engine::{Engine, ISA_VARIABLE, THREADS_VARIABLE, threads_of};
pub use error::{Error, Result};
