//! Models: from samples and weights to scores.

pub mod characters;
pub mod lenet;
pub mod residual;
