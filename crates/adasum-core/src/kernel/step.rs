//! The steps of optimizers over consecutive elements that share their hyperparameters.
//!
//! ```text
//! every rule   g = clamp(gradientScale g, clipValue) + l2 w;  w = keep w        then:
//! sgd          w -= rate g
//! momentum     b = momentum b + undamped g;  w -= rate (nesterov ? g + momentum b : b)
//! adam         m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g
//!              w -= ((rate / correction1) m) / (sqrt(v) / rootCorrection2 + epsilon)
//! lamb         m and v as in adam;  u = ((1 / correction1) m) / ((1 / rootCorrection2) sqrt(v) + epsilon) + decay w
//!              w -= (rate ratio) u, with ratio = |w| / |u| over the segment
//! muon         g = clamp(gradientScale g, clipValue);  b = momentum b + taken g
//!              in place of the weights: ofMomentum b + ofGradient g, which is to be orthogonalized
//! ```
//!
//! All arithmetic is in the elements' own type, and each operation is rounded by itself: nothing is fused or reordered.
//! So the loops are plain, the compiler vectorises them for the CPU features that the caller has enabled, and every
//! instruction set stores the same bits.
//!
//! Sources: SGD as in Sutskever et al. 2013 with the dampening of PyTorch; Adam arXiv 1412.6980; decoupled decay arXiv
//! 1711.05101; LAMB arXiv 1904.00962, Algorithm 2; Muon as in K. Jordan 2024 (kellerjordan.github.io/posts/muon).

use super::table::Elements;
use crate::element::Real;
use crate::simd::Arithmetic;
use crate::simd::stream::CACHE_LINE;

/// Where the learning rate stands in a row of factors.
pub const RATE: usize = 2;
/// How many numbers precede those of the rule itself: see [`Common`].
const COMMON: usize = 5;
/// Numbers in a row of factors, by rule.
pub const SGD_FACTORS: usize = COMMON;
pub const MOMENTUM_FACTORS: usize = COMMON + 3;
pub const ADAM_FACTORS: usize = COMMON + 7;
pub const LAMB_FACTORS: usize = ADAM_FACTORS + 3;
/// Muon's direction depends on nothing else of what rules have in common than the clipping.
pub const MUON_FACTORS: usize = 6;

/// What all rules do before their own step.
#[derive(Clone, Copy)]
struct Common<E> {
    gradient_scale: E,
    clip_value: E,
    rate: E,
    l2: E,
    keep: E,
}

impl<E: Real> Common<E> {
    #[inline(always)]
    fn of(factors: &[f64]) -> Self {
        Self {
            gradient_scale: E::of(factors[0]),
            clip_value: E::of(factors[1]),
            rate: E::of(factors[RATE]),
            l2: E::of(factors[3]),
            keep: E::of(factors[4]),
        }
    }

    /// The gradient that the rule sees.
    #[inline(always)]
    fn gradient(&self, gradient: E, weight: E) -> E {
        clipped(gradient, self.gradient_scale, self.clip_value) + self.l2 * weight
    }
}

/// A gradient that is NaN stays NaN.
#[inline(always)]
fn clipped<E: Real>(gradient: E, scale: E, most: E) -> E {
    let scaled = scale * gradient;
    let clipped = if scaled > most { most } else { scaled };
    if clipped < -most { -most } else { clipped }
}

/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
pub unsafe fn sgd<A: Arithmetic, E: Real>(factors: &[f64], elements: Elements<'_, E>) {
    let common = Common::<E>::of(factors);
    let update = |weights: &mut [E], gradient: &[E]| {
        for (weight, &gradient) in weights.iter_mut().zip(gradient) {
            let gradient = common.gradient(gradient, *weight);
            *weight = (common.keep * *weight - common.rate * gradient).canonical();
        }
    };
    let (weights, last_weights) = elements.weights.as_chunks_mut::<GROUP>();
    let (gradient, last_gradient) = elements.gradient.as_chunks::<GROUP>();
    for (weights, gradient) in weights.iter_mut().zip(gradient) {
        // SAFETY: handed on from the caller.
        unsafe {
            prefetch_after::<A, E>(weights);
            prefetch_after::<A, E>(gradient);
        }
        update(weights, gradient);
    }
    update(last_weights, last_gradient);
}

#[inline(always)]
pub fn momentum<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
    let common = Common::<E>::of(factors);
    let (momentum, undamped, is_nesterov) =
        (E::of(factors[COMMON]), E::of(factors[COMMON + 1]), factors[COMMON + 2] != 0.0);
    let states = elements.weights.iter_mut().zip(elements.first);
    for ((weight, buffer), &gradient) in states.zip(elements.gradient) {
        let gradient = common.gradient(gradient, *weight);
        *buffer = (momentum * *buffer + undamped * gradient).canonical();
        let direction = if is_nesterov { gradient + momentum * *buffer } else { *buffer };
        *weight = (common.keep * *weight - common.rate * direction).canonical();
    }
}

/// The moments of Adam and LAMB.
#[derive(Clone, Copy)]
struct Moments<E> {
    beta1: E,
    taken1: E,
    beta2: E,
    taken2: E,
    epsilon: E,
    root_correction2: E,
}

impl<E: Real> Moments<E> {
    #[inline(always)]
    fn of(factors: &[f64]) -> Self {
        let factors = &factors[COMMON..ADAM_FACTORS];
        Self {
            beta1: E::of(factors[0]),
            taken1: E::of(factors[1]),
            beta2: E::of(factors[2]),
            taken2: E::of(factors[3]),
            epsilon: E::of(factors[4]),
            root_correction2: E::of(factors[6]),
        }
    }

    #[inline(always)]
    fn update(&self, gradient: E, first: &mut E, second: &mut E) {
        *first = (self.beta1 * *first + self.taken1 * gradient).canonical();
        *second = (self.beta2 * *second + self.taken2 * gradient * gradient).canonical();
    }

    #[inline(always)]
    fn denominator(&self, second: E) -> E {
        second.root() / self.root_correction2 + self.epsilon
    }
}

#[inline(always)]
pub fn adam<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
    let common = Common::<E>::of(factors);
    let moments = Moments::<E>::of(factors);
    // The quotient is rounded once, as what is computed outside of the kernel.
    let rate = E::of(factors[RATE] / factors[COMMON + 5]);
    let states = elements.weights.iter_mut().zip(elements.first).zip(elements.second);
    for (((weight, first), second), &gradient) in states.zip(elements.gradient) {
        let gradient = common.gradient(gradient, *weight);
        moments.update(gradient, first, second);
        *weight = (common.keep * *weight - rate * *first / moments.denominator(*second)).canonical();
    }
}

/// LAMB's direction. Both passes compute it, and quotients take most of their time: the corrections are reciprocals, so
/// that one quotient is left.
#[derive(Clone, Copy)]
struct Direction<E> {
    correction1: E,
    root_correction2: E,
    epsilon: E,
    decay: E,
}

impl<E: Real> Direction<E> {
    #[inline(always)]
    fn of(factors: &[f64]) -> Self {
        Self {
            correction1: E::of(1.0 / factors[COMMON + 5]),
            root_correction2: E::of(1.0 / factors[COMMON + 6]),
            epsilon: E::of(factors[COMMON + 4]),
            decay: E::of(factors[ADAM_FACTORS]),
        }
    }

    /// u of an element, from the moments as they are stored.
    #[inline(always)]
    fn at(&self, weight: E, first: E, second: E) -> E {
        let denominator = self.root_correction2 * second.root() + self.epsilon;
        self.correction1 * first / denominator + self.decay * weight
    }
}

/// Elements of all arrays between which SGD and LAMB prefetch: whole lines of the cache. With a length that the compiler knows, it
/// vectorises the loop over them.
const GROUP: usize = 16;
/// Bytes between what SGD and LAMB read and what they prefetch. LAMB's quotients and roots, and in the first pass the sums
/// between blocks, keep the CPU from looking as far ahead by itself; SGD was measured faster with it, too.
const AHEAD: usize = 1024;

/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
unsafe fn prefetch_after<A: Arithmetic, E>(group: &[E; GROUP]) {
    let begin = group.as_ptr().cast::<u8>();
    for line in (0..size_of_val(group)).step_by(CACHE_LINE) {
        // SAFETY: handed on from the caller; the address may be anywhere.
        unsafe { A::prefetch(begin.wrapping_add(AHEAD + line)) };
    }
}

/// The first pass: updates the moments, and writes the direction of each element.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
pub unsafe fn lamb_moments<A: Arithmetic, E: Real>(factors: &[f64], elements: Elements<'_, E>, directions: &mut [E]) {
    let common = Common::<E>::of(factors);
    let moments = Moments::<E>::of(factors);
    let direction_of = Direction::<E>::of(factors);
    let update = |gradient: &[E], weights: &[E], first: &mut [E], second: &mut [E], directions: &mut [E]| {
        let states = weights.iter().zip(first).zip(second).zip(directions);
        for ((((&weight, first), second), direction), &gradient) in states.zip(gradient) {
            moments.update(common.gradient(gradient, weight), first, second);
            *direction = direction_of.at(weight, *first, *second);
        }
    };
    let (gradient, last_gradient) = elements.gradient.as_chunks::<GROUP>();
    let (weights, last_weights) = elements.weights.as_chunks::<GROUP>();
    let (first, last_first) = elements.first.as_chunks_mut::<GROUP>();
    let (second, last_second) = elements.second.as_chunks_mut::<GROUP>();
    let (directions, last_directions) = directions.as_chunks_mut::<GROUP>();
    let states = weights.iter().zip(first).zip(second).zip(directions);
    for ((((weights, first), second), directions), gradient) in states.zip(gradient) {
        // SAFETY: handed on from the caller.
        unsafe {
            prefetch_after::<A, E>(gradient);
            prefetch_after::<A, E>(weights);
            prefetch_after::<A, E>(first);
            prefetch_after::<A, E>(second);
        }
        update(gradient, weights, first, second, directions);
    }
    update(last_gradient, last_weights, last_first, last_second, last_directions);
}

/// The second pass: moves the weights by `rate` times the directions, which it computes anew from the same moments.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
pub unsafe fn lamb_weights<A: Arithmetic, E: Real>(factors: &[f64], rate: f64, elements: Elements<'_, E>) {
    let common = Common::<E>::of(factors);
    let direction_of = Direction::<E>::of(factors);
    let rate = E::of(rate);
    let update = |weights: &mut [E], first: &[E], second: &[E]| {
        for (weight, (&first, &second)) in weights.iter_mut().zip(first.iter().zip(second)) {
            let direction = direction_of.at(*weight, first, second);
            *weight = (common.keep * *weight - rate * direction).canonical();
        }
    };
    let (weights, last_weights) = elements.weights.as_chunks_mut::<GROUP>();
    let (first, last_first) = elements.first.as_chunks::<GROUP>();
    let (second, last_second) = elements.second.as_chunks::<GROUP>();
    for (weights, (first, second)) in weights.iter_mut().zip(first.iter().zip(second)) {
        // SAFETY: handed on from the caller.
        unsafe {
            prefetch_after::<A, E>(weights);
            prefetch_after::<A, E>(first);
            prefetch_after::<A, E>(second);
        }
        update(weights, first, second);
    }
    update(last_weights, last_first, last_second);
}

/// Muon's direction, in place of the weights, before it is orthogonalized.
#[inline(always)]
pub fn muon<E: Real>(factors: &[f64], elements: Elements<'_, E>) {
    let [scale, most, momentum, taken, of_momentum, of_gradient] = std::array::from_fn(|i| E::of(factors[i]));
    let directions = elements.weights.iter_mut().zip(elements.first);
    for ((direction, buffer), &gradient) in directions.zip(elements.gradient) {
        let gradient = clipped(gradient, scale, most);
        *buffer = (momentum * *buffer + taken * gradient).canonical();
        *direction = (of_momentum * *buffer + of_gradient * gradient).canonical();
    }
}
