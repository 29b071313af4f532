//! The canonical order in which a segment's products are added.
//!
//! Floating-point addition is not associative, so a sum has the same bits on every rank only if all ranks add in the
//! same order, however the segment is cut over ranks and threads. The order is that of a fixed binary tree:
//!
//! ```text
//! level 2              ---- root ----
//! level 1          0+1               2+3        a node is left + right;
//! level 0        0     1           2     3      a right child beyond the segment's end does not exist,
//!             (blocks of 2,048 elements)        and the left child then stands for its parent
//! ```
//!
//! A rank or thread that has a run of blocks adds them as far as the tree allows. It hands on the run's *maximal
//! nodes*: the largest nodes that lie inside the run as a whole. The rank or thread that collects the nodes of all runs
//! adds them in the same way, up to the root. [`Accumulator`] does both.

use std::ops::Range;

use crate::simd::CANONICAL_NAN_F64;

/// Elements in a block; slices are cut at segment or block boundaries only.
pub const BLOCK_ELEMENTS: usize = 2048;

const BLOCK: u64 = BLOCK_ELEMENTS as u64;

/// Consecutive elements of a segment: a range of whole blocks, of which the segment's last may be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Elements in the whole segment.
    pub segment_element_count: u64,
    /// The run's first element, counted from the segment's start: a multiple of the block length.
    pub first_element: u64,
    /// Elements in the run: a multiple of the block length too, unless the run reaches the segment's end.
    pub element_count: u64,
}

impl Run {
    /// The run that is the whole segment.
    pub fn whole(segment_element_count: u64) -> Self {
        Self { segment_element_count, first_element: 0, element_count: segment_element_count }
    }

    /// True if the run covers its segment.
    pub fn is_whole(&self) -> bool {
        self.element_count == self.segment_element_count
    }

    /// Indices of the run's blocks. An empty segment has one block without elements, so that it too has a root.
    pub fn blocks(&self) -> Range<u64> {
        let end_element = self.first_element + self.element_count;
        let first = self.first_element / BLOCK;
        first..if self.segment_element_count == 0 { 1 } else { end_element.div_ceil(BLOCK) }
    }

    /// Elements in one of the run's blocks.
    pub fn block_element_count(&self, block: u64) -> usize {
        BLOCK.min(self.segment_element_count - block * BLOCK) as usize
    }

    /// Number of the maximal nodes of which the run consists.
    pub fn node_count(&self) -> u64 {
        let tree = Tree::new(self.segment_element_count);
        let mut blocks = self.blocks();
        let mut count = 0;
        while !blocks.is_empty() {
            blocks.start = tree.end_block(tree.maximal_node(&blocks));
            count += 1;
        }
        count
    }
}

/// The shape of the tree over one segment's blocks.
#[derive(Clone, Copy, Debug)]
struct Tree {
    block_count: u64,
    root_level: u32,
}

impl Tree {
    fn new(segment_element_count: u64) -> Self {
        let block_count = segment_element_count.div_ceil(BLOCK).max(1);
        Self { block_count, root_level: u64::BITS - (block_count - 1).leading_zeros() }
    }

    /// Number of the first block after the node.
    fn end_block(self, node: Node) -> u64 {
        (node.first_block + (1 << node.level)).min(self.block_count)
    }

    /// The largest node that begins where `blocks` begin and does not reach beyond them.
    fn maximal_node(self, blocks: &Range<u64>) -> Node {
        let mut node = Node { level: blocks.start.trailing_zeros().min(self.root_level), first_block: blocks.start };
        while node.level > 0 && self.end_block(node) > blocks.end {
            node.level -= 1;
        }
        node
    }
}

/// A node of the tree: the blocks from `first_block` on, `1 << level` of them as far as they exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    level: u32,
    first_block: u64,
}

impl Node {
    fn is_right_child(self) -> bool {
        (self.first_block >> self.level) & 1 == 1
    }
}

/// Adds blocks, or nodes, that arrive in ascending order, as far as the tree allows.
#[derive(Debug)]
pub struct Accumulator {
    tree: Tree,
    width: usize,
    nodes: Vec<Node>,
    sums: Vec<f64>,
}

impl Accumulator {
    /// An accumulator of `width` sums at once, for a segment of so many elements.
    pub fn new(segment_element_count: u64, width: usize) -> Self {
        Self { tree: Tree::new(segment_element_count), width, nodes: Vec::new(), sums: Vec::new() }
    }

    /// How many sums it adds at once.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Forgets all sums and begins with another segment.
    pub fn restart(&mut self, segment_element_count: u64) {
        self.tree = Tree::new(segment_element_count);
        self.nodes.clear();
        self.sums.clear();
    }

    /// Takes one block; `fill` receives its `width` sums, all zero, and writes them.
    pub fn push_block(&mut self, block: u64, fill: impl FnOnce(&mut [f64])) {
        let start = self.sums.len();
        self.sums.resize(start + self.width, 0.0);
        fill(&mut self.sums[start..]);
        self.nodes.push(Node { level: 0, first_block: block });
        self.merge();
    }

    /// Takes the maximal nodes of a run, in the order in which [`Accumulator::finish`] returned them.
    pub fn push_run(&mut self, run: &Run, sums: &[f64]) {
        let mut blocks = run.blocks();
        for node_sums in sums.chunks_exact(self.width) {
            let node = self.tree.maximal_node(&blocks);
            blocks.start = self.tree.end_block(node);
            self.nodes.push(node);
            self.sums.extend_from_slice(node_sums);
            self.merge();
        }
    }

    /// The sums of the maximal nodes, `width` numbers each, in ascending order.
    pub fn finish(&mut self) -> &[f64] {
        // Which of two NaNs an addition returns depends on the instruction that the compiler chose.
        for sum in &mut self.sums {
            *sum = if sum.is_nan() { CANONICAL_NAN_F64 } else { *sum };
        }
        &self.sums
    }

    fn merge(&mut self) {
        while let Some(node) = self.nodes.last_mut() {
            if node.is_right_child() {
                if !self.merge_siblings() {
                    return;
                }
            } else if node.level < self.tree.root_level && self.tree.end_block(*node) == self.tree.block_count {
                node.level += 1; // No right sibling: the node stands for its parent.
            } else {
                return;
            }
        }
    }

    /// Adds the last node to the one before it if that is its left sibling.
    fn merge_siblings(&mut self) -> bool {
        let [.., left, right] = self.nodes[..] else { return false };
        if left.level != right.level || left.first_block + (1 << left.level) != right.first_block {
            return false;
        }
        let right_start = self.sums.len() - self.width;
        let (head, right_sums) = self.sums.split_at_mut(right_start);
        let left_start = head.len() - self.width;
        for (left_sum, right_sum) in head[left_start..].iter_mut().zip(right_sums) {
            *left_sum += *right_sum;
        }
        self.sums.truncate(right_start);
        self.nodes.pop();
        if let Some(parent) = self.nodes.last_mut() {
            parent.level += 1;
        }
        true
    }
}
