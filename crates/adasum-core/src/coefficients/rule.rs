//! The rules by which a node of the tree combines the vectors of its children.

use crate::error::{Result, argument_error};

/// The factors of two vectors a and b, which stand for m and k ranks' vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PairRule {
    /// 1 - a.b / |a|^2 * m / (m + k), and the same for b; code 0.
    Adasum,
    /// 1 - kappa * (a.b / |a|^2 * m / (m + k)), and the same for b: the sum for kappa 0, Adasum for kappa 1; code 1.
    Damped {
        /// From 0 to 2.
        kappa: f64,
    },
    /// (1 + d cos) / (1 + cos) for a and (1 - d cos) / (1 + cos) for b, where d = (m - k) / (m + k); code 2. The cosine
    /// counts as no less than the one at which 1 / (1 + cos) is `cap`.
    Adascale {
        /// From 1 to 100.
        cap: f64,
    },
}

/// Two vectors that are combined, neither of them zero.
pub(super) struct Pair {
    pub dot: f64,
    pub squared_norms: [f64; 2],
    pub weights: [f64; 2],
    /// Whether a norm is so small that the vectors count as orthogonal.
    pub is_negligible: bool,
}

impl PairRule {
    /// The rule with this code and parameter; that of Adasum is 0.
    pub fn from_code(code: f64, parameter: f64) -> Result<Self> {
        let (rule, name, least, most) = match code {
            0.0 => (Self::Adasum, "parameter of adasum", 0.0, 0.0),
            1.0 => (Self::Damped { kappa: parameter }, "kappa", 0.0, 2.0),
            2.0 => (Self::Adascale { cap: parameter }, "cap", 1.0, 100.0),
            _ => {
                return Err(argument_error!(
                    "the code of the rule is {code}, known are 0 (adasum), 1 (damped) and 2 (adascale). Take it from PAIR_RULE_CODES."
                ));
            }
        };
        if (least..=most).contains(&parameter) {
            return Ok(rule);
        }
        Err(argument_error!(
            "the {name} is {parameter}; it must be from {least} to {most}. Pass a number in that range."
        ))
    }

    /// The factors of both vectors.
    #[inline]
    pub(super) fn factors(self, pair: &Pair) -> (f64, f64) {
        let [m, k] = pair.weights;
        let weight = m + k;
        match self {
            Self::Adasum => (1.0 - pair.projection(0) * (m / weight), 1.0 - pair.projection(1) * (k / weight)),
            Self::Damped { kappa } => {
                (1.0 - kappa * (pair.projection(0) * (m / weight)), 1.0 - kappa * (pair.projection(1) * (k / weight)))
            }
            Self::Adascale { cap } => {
                let cosine = pair.cosine().clamp(1.0 / cap - 1.0, 1.0);
                let shift = (m - k) / weight * cosine;
                ((1.0 + shift) / (1.0 + cosine), (1.0 - shift) / (1.0 + cosine))
            }
        }
    }
}

impl Pair {
    /// a.b over one vector's squared norm, divided before anything is multiplied.
    fn projection(&self, onto: usize) -> f64 {
        if self.is_negligible { 0.0 } else { self.dot / self.squared_norms[onto] }
    }

    /// The same bits for (a, b) and (b, a), exactly 1 for equal vectors, and no product that could overflow.
    fn cosine(&self) -> f64 {
        let [a, b] = self.squared_norms;
        let (large, small) = (a.max(b), a.min(b));
        if self.is_negligible { 0.0 } else { self.dot / large * (large.sqrt() / small.sqrt()) }
    }
}
