//! The operations that models are made of. Images lie [image, row, column, channel], texts [piece and place, feature].

mod attention;
mod convolution;
mod dense;
mod elementwise;
mod embedding;
mod loss;
mod normalization;
mod pooling;

pub use attention::Attention;
pub use convolution::Convolution;
pub use loss::cross_entropy;
pub use normalization::Statistics;
