//! The results that every machine and every language must have: hashes in `test/golden/adasum.json`, which TypeScript
//! checks too. `test/golden/README.md` has the recipe of the inputs.
//!
//! `ADASUM_GOLDEN=write` writes the file anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::calls::{ADASUM, Reduced, node_count, product_count, reduce_into};
use crate::common::engines;
use crate::common::float::{Float, for_results, round};
use crate::common::ranks::{Ranks, slice_of};
use adasum_core::Engine;
use adasum_core::entry::{Results, View, ViewMut};

const SEGMENTS: [usize; 6] = [1, 0, 2047, 2048, 2049, 3828];
const LENGTH: usize = 9973;
const COUNTS: [usize; 7] = [2, 3, 4, 5, 8, 9, 16];
const FAMILIES: [&str; 6] =
    ["independent", "large-common-part", "spread-norms", "near-parallel", "alternating", "nearly-cancelling"];
const NORMS: [f64; 9] = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0, 1e4];
/// Where the slices of several ranks begin: at segments, in segments at blocks, and twice at one element.
const CUTS: [&[usize]; 4] =
    [&[6144], &[2048, 8193], &[6144, 6144, 8193], &[0, 1, 1, 2048, 4096, 6144, 6145, 8193, 9973]];

struct Mulberry32(u32);

impl Mulberry32 {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x6d2b_79f5);
        let mut mixed = (self.0 ^ (self.0 >> 15)).wrapping_mul(self.0 | 1);
        mixed ^= mixed.wrapping_add((mixed ^ (mixed >> 7)).wrapping_mul(mixed | 61));
        f64::from(mixed ^ (mixed >> 14)) / 4_294_967_296.0
    }

    fn noise(&mut self) -> Vec<f64> {
        (0..LENGTH).map(|_| (self.uniform() + self.uniform() + self.uniform() - 1.5) * 1.9).collect()
    }
}

fn vectors(family: usize, k: usize) -> Vec<Vec<f64>> {
    let mut random = Mulberry32((100 * family + k) as u32);
    let common = random.noise();
    let mut input = |i: usize| -> Vec<f64> {
        let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let element = |(c, noise): (&f64, f64)| match family {
            0 => noise,
            1 => 10.0 * c + noise,
            2 => NORMS[5 * i % 9] * noise,
            3 => c + 1e-3 * noise,
            4 => sign * c + 0.1 * noise,
            _ => sign * c + 1e-4 * noise,
        };
        common.iter().zip(random.noise()).map(element).collect()
    };
    (0..k).map(&mut input).collect()
}

/// FNV-1a of the result's bytes, then of every segment's orthogonality and coefficients.
fn hash<O: Float>(reduced: &Reduced<O>) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bits: u64, byte_count: usize| {
        for byte in &bits.to_le_bytes()[..byte_count] {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    reduced.result.iter().for_each(|x| take(x.bits(), size_of::<O>()));
    for (orthogonality, coefficients) in reduced.orthogonality.iter().zip(&reduced.coefficients) {
        take(orthogonality.to_bits(), 8);
        coefficients.iter().for_each(|c| take(c.to_bits(), 8));
    }
    format!("{state:016x}")
}

/// A segment's run in one rank's slice: the segment, its first element in the run, and how many.
type Piece = (usize, usize, usize);

/// The pieces of the slice `begin..end`. Empty segments belong to the slice that begins where they do.
fn pieces_of(begin: usize, end: usize) -> Vec<Piece> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for (segment, count) in SEGMENTS.into_iter().enumerate() {
        let (first, last) = (begin.max(start), end.min(start + count));
        if first < last || (count == 0 && (begin..end).contains(&start)) {
            pieces.push((segment, first - start, last - first));
        }
        start += count;
    }
    pieces
}

/// One rank's slice, reduced as far as it can be.
struct Slice<O> {
    pieces: Vec<Piece>,
    result: Vec<O>,
    nodes: Vec<f64>,
    stats: Vec<f64>,
}

impl<O: Float> Slice<O> {
    fn reduced<E: Float>(engine: Engine, inputs: &[Vec<E>], begin: usize, end: usize) -> Self {
        let (k, pieces) = (inputs.len(), pieces_of(begin, end));
        let of_piece = |&(segment, first, count): &Piece| [SEGMENTS[segment], first, count].map(|x| x as f64);
        let table: Vec<f64> = pieces.iter().flat_map(of_piece).collect();
        let mut result = vec![O::default(); end - begin];
        let mut nodes = vec![0.0; node_count(&table) * product_count(k)];
        let mut stats = vec![0.0; pieces.len() * (2 + k)];
        let results =
            Results { out: ViewMut::of(&mut result), nodes: ViewMut::of(&mut nodes), stats: ViewMut::of(&mut stats) };
        // Slices of the vectors themselves: they begin at odd addresses.
        let slices: Vec<View<'_>> = inputs.iter().map(|g| View::of(&g[begin..end])).collect();
        let (weights, pieces_table) = (vec![1.0; k], View::of(&table));
        engine.reduce(ADASUM, E::CODE, O::CODE, &slices, View::of(&weights), pieces_table, results).unwrap();
        Self { pieces, result, nodes, stats }
    }
}

/// What ranks with a slice each come to: whole segments in one call, cut ones by an exchange of nodes.
fn reduce_cut<E: Float, O: Float>(engine: Engine, inputs: &[Vec<E>], cuts: &[usize]) -> Reduced<O> {
    let edges: Vec<usize> = [0].into_iter().chain(cuts.iter().copied()).chain([LENGTH]).collect();
    let mut slices: Vec<Slice<O>> =
        edges.windows(2).map(|edge| Slice::reduced(engine, inputs, edge[0], edge[1])).collect();
    let mut all = Reduced {
        result: Vec::new(),
        orthogonality: Vec::new(),
        squared_norm_sum: Vec::new(),
        coefficients: Vec::new(),
    };
    let mut start = 0;
    for (segment, count) in SEGMENTS.into_iter().enumerate() {
        let of_segment = slice_of(inputs, (start, count));
        let part = finish_segment(engine, &of_segment, segment, &mut slices);
        all.result.extend(part.result);
        all.orthogonality.extend(part.orthogonality);
        all.squared_norm_sum.extend(part.squared_norm_sum);
        all.coefficients.extend(part.coefficients);
        start += count;
    }
    all
}

/// Takes the next segment from the slices that have a piece of it.
fn finish_segment<E: Float, O: Float>(
    engine: Engine,
    inputs: &[Vec<E>],
    segment: usize,
    slices: &mut [Slice<O>],
) -> Reduced<O> {
    let (k, length) = (inputs.len(), SEGMENTS[segment]);
    let (mut runs, mut nodes) = (Vec::new(), Vec::new());
    for slice in slices.iter_mut().filter(|slice| slice.pieces.first().is_some_and(|piece| piece.0 == segment)) {
        let (_, first, count) = slice.pieces.remove(0);
        let result = slice.result.drain(..count).collect();
        let stats: Vec<f64> = slice.stats.drain(..2 + k).collect();
        if count == length {
            let (orthogonality, squared_norm_sum) = (vec![stats[0]], vec![stats[1]]);
            return Reduced { result, orthogonality, squared_norm_sum, coefficients: vec![stats[2..].to_vec()] };
        }
        assert!(stats.iter().all(|x| x.is_nan()) && result.iter().all(|x| *x == O::default()), "a cut piece");
        let piece = [length, first, count].map(|x| x as f64);
        nodes.extend(slice.nodes.drain(..node_count(&piece) * product_count(k)));
        runs.push((first, count));
    }
    let ranks = Ranks { engine, inputs, runs };
    ranks.adasum_from(&ranks.finish(product_count(k), &nodes)).0
}

struct Golden {
    path: PathBuf,
    hashes: BTreeMap<String, String>,
    write: bool,
}

impl Golden {
    fn open() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/golden/adasum.json");
        let write = std::env::var("ADASUM_GOLDEN").is_ok_and(|mode| mode == "write");
        let text = if write { "{}".to_string() } else { std::fs::read_to_string(&path).unwrap() };
        Self { path, hashes: serde_json::from_str(&text).unwrap(), write }
    }

    fn check(&mut self, name: &str, how: &str, hash: String) {
        if self.write {
            self.hashes.entry(name.to_string()).or_insert(hash);
            return;
        }
        assert_eq!(self.hashes.get(name), Some(&hash), "{name}, {how}");
    }

    fn close(self) {
        if !self.write {
            let expected = FAMILIES.len() * COUNTS.len() * 6;
            assert_eq!(self.hashes.len(), expected, "entries in {}", self.path.display());
            return;
        }
        let text = serde_json::to_string_pretty(&self.hashes).unwrap();
        std::fs::write(&self.path, text + "\n").unwrap();
        panic!("{} was written anew: look at what changed, and run without ADASUM_GOLDEN", self.path.display());
    }
}

fn check<E: Float, O: Float>(golden: &mut Golden, family: &str, vectors: &[Vec<f64>]) {
    let (k, inputs) = (vectors.len(), round::<E>(vectors));
    let name = format!("{family}/{}->{}/{k}", E::NAME, O::NAME);
    for engine in engines() {
        let whole = reduce_into::<E, O>(engine, ADASUM, &inputs, &vec![1.0; k], &SEGMENTS);
        golden.check(&name, engine.isa(), hash(&whole));
        for cuts in CUTS {
            let how = format!("{}, cut at {cuts:?}", engine.isa());
            golden.check(&name, &how, hash(&reduce_cut::<E, O>(engine, &inputs, cuts)));
        }
    }
}

#[test]
fn every_isa_and_every_cut_gives_the_golden_bits() {
    let mut golden = Golden::open();
    for (index, family) in FAMILIES.iter().enumerate() {
        for k in COUNTS {
            let vectors = vectors(index, k);
            for_results!(check(&mut golden, family, &vectors));
        }
    }
    golden.close();
}
