//! One segment's tree, worked out from the leaves to the root.
//!
//! A node's vector is kept as a sum of *atoms*: inputs, and nodes that have been refined. Products of two vectors are
//! added up over pairs of atoms, from the matrix and from the refinements. The coefficients of the inputs are kept
//! beside.

use std::ops::Range;

use super::rule::{Pair, PairRule};
use super::tree::{split, triangle_index};
use crate::element::Element;

/// Below this part of its inputs' squared norms a refined squared norm is rounding noise: the vector counts as zero.
const ZERO_BELOW: f64 = 1e-14;

/// Matrices with an entry above this are scaled down first, so that no product overflows.
const LARGEST_ENTRY: f64 = f64::from_bits(0x7830_0000_0000_0000); // 2^900
const SHRINK: f64 = f64::from_bits(0x3370_0000_0000_0000); // 2^-200, exact

/// What a dtype means for the rule; see the constants of [`Element`].
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// A node is refined if its squared norm falls below this part of its terms' squared norms.
    pub refine_below: f64,
    /// A vector whose squared norm is below this counts as orthogonal to every other.
    pub smallest_squared_norm: f64,
}

impl Thresholds {
    /// The thresholds of an element type.
    pub(crate) fn of<E: Element>() -> Self {
        Self { refine_below: E::REFINE_BELOW, smallest_squared_norm: E::SMALLEST_SQUARED_NORM }
    }
}

/// A node of the tree that must be refined: the products of x = sum of vector_i * g_i are needed.
#[derive(Clone, Debug, PartialEq)]
pub struct RefinementRequest {
    /// Index of the node's first input.
    pub first: usize,
    /// Number of inputs below the node.
    pub count: usize,
    /// One coefficient an input, 0 outside the node.
    pub vector: Vec<f64>,
}

/// The answer to a [`RefinementRequest`].
#[derive(Clone, Copy, Debug)]
pub struct Refinement<'a> {
    /// Index of the node's first input.
    pub first: usize,
    /// Number of inputs below the node.
    pub count: usize,
    /// x.x, then x.g_i for every input.
    pub products: &'a [f64],
}

/// Scratch memory, which one segment after another uses: a model has thousands of small ones.
#[derive(Debug, Default)]
pub struct Memory {
    /// The terms of all vectors that the solver keeps; each vector's are consecutive.
    atoms: Vec<(Atom, f64)>,
    pub(super) coefficients: Vec<f64>,
    squared_norms: Vec<f64>,
}

/// Adds in the order of the tree itself, so that identical inputs stay exact where their number is a power of two.
fn pairwise_sum<T>(items: &[T], value: &impl Fn(&T) -> f64) -> f64 {
    match items {
        [] => 0.0,
        [item] => value(item),
        [left, right] => value(left) + value(right),
        _ => {
            let (left, right) = items.split_at(items.len().div_ceil(2));
            pairwise_sum(left, value) + pairwise_sum(right, value)
        }
    }
}

/// A vector that others are made of: an input, or a refined node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Atom {
    Input(usize),
    /// Index into the solver's refined nodes.
    Refined(usize),
}

/// A refined node: its vector in terms of the inputs, and the products that the caller took.
struct RefinedNode<'a> {
    inputs: Range<usize>,
    vector: Vec<f64>,
    products: &'a [f64],
    /// |x|^2 over the squared norms of the inputs' contributions.
    ratio: f64,
}

/// A node's vector, as far as its parent needs it.
pub(super) struct Vector {
    /// The inputs below the node whose combination the vector is.
    inputs: Range<usize>,
    /// How many ranks' vectors it stands for, zero or not.
    weight: f64,
    pub(super) squared_norm: f64,
    /// Sum over the atoms of the squared norm of their contributions.
    atom_scale: f64,
    /// The same over the inputs.
    input_scale: f64,
    /// Its terms in the solver's memory; empty if the vector is zero.
    atoms: Range<usize>,
}

impl Vector {
    fn is_zero(&self) -> bool {
        self.atoms.is_empty()
    }

    /// The vector of an inner node whose terms cancel beyond what the matrix can tell.
    fn cancels(&self, solver: &Solver<'_>) -> bool {
        self.atoms.len() > 1
            && self.atom_scale > solver.smallest_squared_norm()
            && self.squared_norm < solver.thresholds.refine_below * self.atom_scale
    }
}

pub(super) struct Solver<'a> {
    rule: PairRule,
    thresholds: Thresholds,
    weights: &'a [f64],
    gram: &'a [f64],
    refinements: &'a [Refinement<'a>],
    /// Power of two that all products are multiplied with.
    pub(super) scale: f64,
    refined: Vec<RefinedNode<'a>>,
    /// The nodes that must be refined first.
    pub(super) requests: Vec<RefinementRequest>,
    memory: &'a mut Memory,
}

impl<'a> Solver<'a> {
    pub(super) fn new(
        memory: &'a mut Memory,
        rule: PairRule,
        thresholds: Thresholds,
        weights: &'a [f64],
        gram: &'a [f64],
        refinements: &'a [Refinement<'a>],
    ) -> Self {
        memory.atoms.clear();
        memory.coefficients.clear();
        memory.coefficients.resize(weights.len(), 0.0);
        let (refined, requests) = (Vec::new(), Vec::new());
        let mut solver = Self { rule, thresholds, weights, gram, refinements, scale: 1.0, refined, requests, memory };
        let mut largest: f64 = 0.0;
        solver.each_present_entry(|entry| largest = largest.max(entry.abs()));
        solver.scale = if largest > LARGEST_ENTRY { SHRINK } else { 1.0 };
        solver
    }

    #[inline(always)]
    fn each_present_entry(&self, mut visit: impl FnMut(f64)) {
        let (mut row, mut weights) = (self.gram, self.weights);
        while let [weight, others @ ..] = weights {
            if *weight != 0.0 {
                row.iter().zip(weights).filter(|(_, weight)| **weight != 0.0).for_each(|(&entry, _)| visit(entry));
            }
            (row, weights) = (&row[weights.len()..], others);
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        let are_refinements_finite = self.refinements.iter().all(|refinement| {
            let mut products = refinement.products[1..].iter().zip(self.weights);
            refinement.products[0].is_finite() && products.all(|(x, weight)| *weight == 0.0 || x.is_finite())
        });
        let mut is_gram_finite = true;
        self.each_present_entry(|entry| is_gram_finite &= entry.is_finite());
        are_refinements_finite && is_gram_finite
    }

    /// The sum of the squared norms of the inputs that are present, scaled.
    pub(super) fn trace(&mut self) -> f64 {
        let mut squared_norms = std::mem::take(&mut self.memory.squared_norms);
        squared_norms.clear();
        squared_norms.extend((0..self.weights.len()).filter(|&i| self.weights[i] != 0.0).map(|i| self.gram(i, i)));
        let trace = pairwise_sum(&squared_norms, &|&x| x);
        self.memory.squared_norms = squared_norms;
        trace
    }

    pub(super) fn smallest_squared_norm(&self) -> f64 {
        self.thresholds.smallest_squared_norm * self.scale
    }

    fn gram(&self, i: usize, j: usize) -> f64 {
        self.gram[triangle_index(self.weights.len(), i, j)] * self.scale
    }

    /// The vector of a tree node; None if no input below it is present, or if products are missing.
    pub(super) fn node(&mut self, inputs: Range<usize>) -> Option<Vector> {
        if inputs.len() <= 1 {
            return self.leaf(inputs);
        }
        let middle = split(&inputs);
        let left = self.node(inputs.start..middle);
        let right = self.node(middle..inputs.end);
        match (left, right) {
            (Some(left), Some(right)) => self.join(left, right, inputs),
            (left, right) => left.or(right),
        }
    }

    fn leaf(&mut self, inputs: Range<usize>) -> Option<Vector> {
        let input = inputs.start;
        let weight = *self.weights.get(input).filter(|weight| **weight != 0.0)?;
        let squared_norm = self.gram(input, input);
        let is_zero = squared_norm == 0.0 && self.thresholds.smallest_squared_norm == 0.0;
        self.memory.coefficients[input] = if is_zero { 0.0 } else { 1.0 };
        let begin = self.memory.atoms.len();
        if !is_zero {
            self.memory.atoms.push((Atom::Input(input), 1.0));
        }
        Some(Vector {
            inputs,
            weight,
            squared_norm,
            atom_scale: squared_norm,
            input_scale: squared_norm,
            atoms: begin..self.memory.atoms.len(),
        })
    }

    /// Combines the vectors of two children. None if a child must be refined first.
    fn join(&mut self, left: Vector, right: Vector, inputs: Range<usize>) -> Option<Vector> {
        let weight = left.weight + right.weight;
        let (Some(left), Some(mut right)) = (self.refine_if_needed(left), self.refine_if_needed(right)) else {
            return None;
        };
        self.close_gap(&left, &mut right);
        if left.is_zero() || right.is_zero() {
            let other = if left.is_zero() { right } else { left };
            return Some(Vector { weight, ..other });
        }
        let dot = self.dot(&left, &right);
        let (left_factor, right_factor) = self.rule.factors(&self.pair(dot, &left, &right));
        self.scale(&left, left_factor);
        self.scale(&right, right_factor);
        let sum_of_squares =
            |of_left: f64, of_right: f64| left_factor * of_left * left_factor + right_factor * of_right * right_factor;
        Some(Vector {
            inputs,
            weight,
            squared_norm: sum_of_squares(left.squared_norm, right.squared_norm)
                + 2.0 * (left_factor * dot * right_factor),
            atom_scale: sum_of_squares(left.atom_scale, right.atom_scale),
            input_scale: sum_of_squares(left.input_scale, right.input_scale),
            atoms: left.atoms.start..right.atoms.end,
        })
    }

    fn pair(&self, dot: f64, a: &Vector, b: &Vector) -> Pair {
        let smallest = self.smallest_squared_norm();
        Pair {
            dot,
            squared_norms: [a.squared_norm, b.squared_norm],
            weights: [a.weight, b.weight],
            is_negligible: a.squared_norm < smallest || b.squared_norm < smallest,
        }
    }

    fn scale(&mut self, vector: &Vector, factor: f64) {
        for coefficient in &mut self.memory.coefficients[vector.inputs.clone()] {
            *coefficient *= factor;
        }
        for (_, coefficient) in &mut self.memory.atoms[vector.atoms.clone()] {
            *coefficient *= factor;
        }
    }

    /// Moves the right child's terms to the end of the left one's, if refinement has made that one shorter.
    fn close_gap(&mut self, left: &Vector, right: &mut Vector) {
        let gap = right.atoms.start - left.atoms.end;
        if gap > 0 {
            self.memory.atoms.drain(left.atoms.end..right.atoms.start);
            right.atoms = right.atoms.start - gap..right.atoms.end - gap;
        }
    }

    /// The vector with products that can be relied on: as it is, or refined. If its refinement is not there yet,
    /// requests it and returns None.
    fn refine_if_needed(&mut self, vector: Vector) -> Option<Vector> {
        if !vector.cancels(self) {
            return Some(vector);
        }
        let node = &vector.inputs;
        let answer = self.refinements.iter().find(|r| r.first == node.start && r.count == node.len());
        match answer {
            Some(refinement) => Some(self.take_refinement(vector, refinement)),
            None => {
                let vector = vec![0.0; self.weights.len()];
                let mut request = RefinementRequest { first: node.start, count: node.len(), vector };
                request.vector[node.clone()].copy_from_slice(&self.memory.coefficients[node.clone()]);
                self.requests.push(request);
                None
            }
        }
    }

    fn take_refinement(&mut self, vector: Vector, refinement: &Refinement<'a>) -> Vector {
        let squared_norm = refinement.products[0] * self.scale;
        let ratio = squared_norm / vector.input_scale;
        if ratio < ZERO_BELOW {
            self.memory.coefficients[vector.inputs.clone()].fill(0.0);
            let atoms = vector.atoms.start..vector.atoms.start;
            return Vector { squared_norm: 0.0, atom_scale: 0.0, input_scale: 0.0, atoms, ..vector };
        }
        self.refined.push(RefinedNode {
            inputs: vector.inputs.clone(),
            vector: self.memory.coefficients[vector.inputs.clone()].to_vec(),
            products: &refinement.products[1..],
            ratio,
        });
        // A vector that cancels has terms, and one atom stands for all of them now: it takes the index of the first.
        let begin = vector.atoms.start;
        self.memory.atoms[begin] = (Atom::Refined(self.refined.len() - 1), 1.0);
        let atoms = begin..begin + 1;
        Vector { squared_norm, atom_scale: squared_norm, atoms, ..vector }
    }

    fn dot(&self, a: &Vector, b: &Vector) -> f64 {
        let (a, b) = (&self.memory.atoms[a.atoms.clone()], &self.memory.atoms[b.atoms.clone()]);
        pairwise_sum(a, &|&(s, u)| u * pairwise_sum(b, &|&(t, v)| self.product(s, t) * v))
    }

    fn product(&self, s: Atom, t: Atom) -> f64 {
        match (s, t) {
            (Atom::Input(i), Atom::Input(j)) => self.gram(i, j),
            (Atom::Input(i), Atom::Refined(m)) | (Atom::Refined(m), Atom::Input(i)) => {
                self.refined[m].products[i] * self.scale
            }
            (Atom::Refined(m), Atom::Refined(l)) => {
                let (m, l) = (&self.refined[m], &self.refined[l]);
                // Written out in inputs, a vector loses what cancels in it: write out the one that cancels less.
                let (whole, parts) = if m.ratio <= l.ratio { (m, l) } else { (l, m) };
                let terms = parts.vector.iter().zip(&whole.products[parts.inputs.clone()]);
                // The product with an absent input may be anything.
                terms.filter(|(v, _)| **v != 0.0).fold(0.0, |sum, (v, x)| sum + v * (x * self.scale))
            }
        }
    }
}
