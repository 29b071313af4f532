//! The shape of the tree, and of the matrix over its leaves.

use std::ops::Range;

/// Index of the entry of i and j in the upper triangle of a k x k matrix, which is stored row by row.
pub fn triangle_index(k: usize, i: usize, j: usize) -> usize {
    let (i, j) = (i.min(j), i.max(j));
    i * (2 * k + 1 - i) / 2 + (j - i)
}

/// True if (first, count) is an inner node of the tree over `n` inputs.
pub fn is_inner_node(n: usize, first: usize, count: usize) -> bool {
    let mut node = 0..n;
    while node.len() > 1 {
        if node.start == first && node.len() == count {
            return true;
        }
        let middle = split(&node);
        node = if first < middle { node.start..middle } else { middle..node.end };
    }
    false
}

/// The first input of the right child: ceil(n/2) inputs go left.
pub(super) fn split(node: &Range<usize>) -> usize {
    node.start + node.len().div_ceil(2)
}
