//! The entry points that see no vectors, only the small tables of numbers that ranks exchange.

use super::by_dtype::with_element;
use super::layout::{Pieces, count_of, parse_runs};
use super::reduction::product_count;
use super::view::View;
use crate::blocks::{Accumulator, Run};
use crate::coefficients::{Memory, Outcome, PairRule, Refinement, Thresholds, coefficients, is_inner_node};
use crate::element::Element;
use crate::error::{Result, argument_error};

/// What a whole world may weigh: 2^16 ranks of at most 2^53 samples, above which not every whole number is an f64. The
/// weights of [`MAX_INPUTS`](super::MAX_INPUTS) inputs are far from overflowing then.
const LARGEST_WEIGHT: f64 = 590_295_810_358_705_651_712.0; // 2^69

/// How many tree nodes the cut pieces have together.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the pieces are malformed.
pub fn node_count(pieces: View<'_>) -> Result<f64> {
    let pieces = Pieces::parse(&pieces.doubles("pieces")?)?;
    Ok(pieces.node_count(|piece| !piece.run.is_whole()) as f64)
}

/// Adds the nodes of one segment's runs, `product_count` numbers each, into the segment's products.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the runs do not cover the segment, or the nodes are too few or too
/// many.
pub fn gram_finish(
    segment_element_count: f64,
    runs: View<'_>,
    nodes: View<'_>,
    product_count: f64,
) -> Result<Vec<f64>> {
    let runs = parse_runs(segment_element_count, &runs.doubles("runs")?)?;
    let nodes = nodes.doubles("nodes")?;
    let width = count_of("productCount", product_count)?;
    let node_count: u64 = runs.iter().map(Run::node_count).sum();
    if width == 0 || nodes.len() as u128 != u128::from(node_count) * u128::from(width) {
        return Err(argument_error!(
            "`nodes` has {} doubles, the runs have {node_count} nodes of {width}. Pass the nodes of all ranks, in rank order.",
            nodes.len()
        ));
    }
    let width = width as usize; // At most nodes.len(): runs that cover a segment have a node.
    let mut sums = Accumulator::new(segment_element_count as u64, width);
    let mut rest = &nodes[..];
    for run in &runs {
        let (run_nodes, others) = rest.split_at(run.node_count() as usize * width);
        sums.push_run(run, run_nodes);
        rest = others;
    }
    Ok(sums.finish().to_vec())
}

/// The coefficients by the rule with this code and parameter: `[0, orthogonality, squaredNormSum, c_0 ..]`, or `[m, (first, count, c_0 ..) m times]` if m nodes must be refined
/// first.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the tables' lengths do not fit the number of inputs, for an unknown
/// rule, and for a parameter out of its range.
pub fn balanced_coefficients(
    rule: f64,
    parameter: f64,
    dtype: f64,
    weights: View<'_>,
    gram: View<'_>,
    refinements: View<'_>,
) -> Result<Vec<f64>> {
    let rule = PairRule::from_code(rule, parameter)?;
    let thresholds = with_element!(dtype, thresholds());
    let (weights, gram) = (numbers_of_inputs(weights)?, gram.doubles("gram")?);
    let k = weights.len();
    if gram.len() != product_count(k) {
        return Err(argument_error!(
            "`gram` has {} numbers, {k} inputs have {} products. Pass the upper triangle.",
            gram.len(),
            product_count(k)
        ));
    }
    let table = refinements.doubles("refinements")?;
    let refinements = parse_refinements(k, &table)?;
    Ok(encode(coefficients(&mut Memory::default(), rule, thresholds, &weights, &gram, &refinements)))
}

fn thresholds<E: Element>() -> Thresholds {
    Thresholds::of::<E>()
}

/// One weight an input.
pub(super) fn parse_weights(weights: View<'_>, input_count: usize) -> Result<Vec<f64>> {
    let weights = numbers_of_inputs(weights)?;
    if weights.len() != input_count {
        return Err(argument_error!(
            "`weights` has {} numbers for {input_count} inputs. Give one number an input.",
            weights.len()
        ));
    }
    Ok(weights)
}

fn numbers_of_inputs(weights: View<'_>) -> Result<Vec<f64>> {
    let weights = weights.doubles("weights")?;
    if weights.is_empty() {
        return Err(argument_error!("`weights` has 0 numbers, at least 1 is needed. Give one number an input."));
    }
    match weights.iter().position(|weight| !(0.0..=LARGEST_WEIGHT).contains(weight)) {
        None => Ok(weights),
        Some(i) => Err(argument_error!(
            "weights[{i}] is {}, which is no number from 0 to {LARGEST_WEIGHT}. Give the number of vectors, or of samples, \
             that the input stands for.",
            weights[i]
        )),
    }
}

fn parse_refinements(k: usize, table: &[f64]) -> Result<Vec<Refinement<'_>>> {
    let width = k + 3;
    if !table.len().is_multiple_of(width) {
        return Err(argument_error!(
            "`refinements` has {} numbers, which is no multiple of {width}. Give first, count and {} products a node.",
            table.len(),
            k + 1
        ));
    }
    let mut refinements: Vec<Refinement<'_>> = Vec::new();
    for row in table.chunks_exact(width) {
        let (first, count) = (count_of("first", row[0])?, count_of("count", row[1])?);
        let (Ok(first), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else {
            return Err(no_such_request(row, k));
        };
        let is_repeated = refinements.iter().any(|r| r.first == first && r.count == count);
        if is_repeated || !is_inner_node(k, first, count) {
            return Err(no_such_request(row, k));
        }
        refinements.push(Refinement { first, count, products: &row[2..] });
    }
    Ok(refinements)
}

fn no_such_request(row: &[f64], k: usize) -> crate::Error {
    argument_error!(
        "a refinement names {} inputs from {} on, which is no node of the tree over {k}, or was there before. Answer each \
         request once, with its own first and count.",
        row[1],
        row[0]
    )
}

fn encode(outcome: Outcome<'_>) -> Vec<f64> {
    match outcome {
        Outcome::Done { orthogonality, squared_norm_sum, coefficients } => {
            [0.0, orthogonality, squared_norm_sum].iter().chain(coefficients).copied().collect()
        }
        Outcome::Refine(requests) => {
            let rows = requests.iter().flat_map(|request| {
                [request.first as f64, request.count as f64].into_iter().chain(request.vector.iter().copied())
            });
            std::iter::once(requests.len() as f64).chain(rows).collect()
        }
    }
}
