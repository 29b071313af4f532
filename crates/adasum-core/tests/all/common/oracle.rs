//! Adasum as its definition reads: pairs of vectors, down the tree, in f64. It shares no line with the core.

/// The result of the balanced count-weighted tree over the inputs of positive weight, or None without any.
pub fn adasum(inputs: &[Vec<f64>], weights: &[f64]) -> Option<Vec<f64>> {
    tree(inputs, weights, &|a, b, m, k| pair(a, b, m / (m + k), k / (m + k)))
}

/// A rule for two vectors, which stand for so many ranks' vectors.
pub type Pair = dyn Fn(&[f64], &[f64], f64, f64) -> Vec<f64>;

/// The tree by any rule for two vectors.
pub fn tree(inputs: &[Vec<f64>], weights: &[f64], pair: &Pair) -> Option<Vec<f64>> {
    node(inputs, weights, pair).map(|(vector, _)| vector)
}

/// The tree over inputs of weight 1.
pub fn adasum_all(inputs: &[Vec<f64>]) -> Vec<f64> {
    adasum(inputs, &vec![1.0; inputs.len()]).unwrap()
}

fn node(inputs: &[Vec<f64>], weights: &[f64], pair: &Pair) -> Option<(Vec<f64>, f64)> {
    if inputs.len() == 1 {
        return (weights[0] > 0.0).then(|| (inputs[0].clone(), weights[0]));
    }
    let middle = inputs.len().div_ceil(2);
    let left = node(&inputs[..middle], &weights[..middle], pair);
    let right = node(&inputs[middle..], &weights[middle..], pair);
    match (left, right) {
        (Some((a, m)), Some((b, k))) => Some((pair(&a, &b, m, k), m + k)),
        (left, right) => left.or(right),
    }
}

/// (1 - share a.b / |a|^2) a + (1 - share b.a / |b|^2) b; a zero vector is neutral.
pub fn pair(a: &[f64], b: &[f64], share_a: f64, share_b: f64) -> Vec<f64> {
    let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
    if aa == 0.0 || bb == 0.0 {
        return if aa == 0.0 { b.to_vec() } else { a.to_vec() };
    }
    let (c, d) = (1.0 - ab / aa * share_a, 1.0 - ab / bb * share_b);
    a.iter().zip(b).map(|(x, y)| c * x + d * y).collect()
}

/// Sequential sum with a running correction, so that the oracle's own error stays far below every tolerance.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sum, mut correction) = (0.0_f64, 0.0_f64);
    for (x, y) in a.iter().zip(b) {
        let product = x * y;
        correction += x.mul_add(*y, -product);
        let next = sum + product;
        correction += if sum.abs() >= product.abs() { (sum - next) + product } else { (product - next) + sum };
        sum = next;
    }
    sum + correction
}

pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// |a - b| / |b|, or |a| if b is zero.
pub fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    let difference: Vec<_> = a.iter().zip(b).map(|(x, y)| x - y).collect();
    let scale = norm(b);
    norm(&difference) / if scale == 0.0 { 1.0 } else { scale }
}

/// The products of a segment in the canonical order, as docs/numerics.md words it: blocks of 2,048, lanes i mod 8, a binary tree.
pub fn canonical_dot(a: &[f64], b: &[f64]) -> f64 {
    let blocks: Vec<f64> = a.chunks(2048).zip(b.chunks(2048)).map(|(x, y)| block_dot(x, y)).collect();
    let height = blocks.len().next_power_of_two().trailing_zeros();
    tree_sum(&blocks, height).unwrap_or(0.0)
}

fn block_dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        lanes[i % 8] += x * y;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

fn tree_sum(blocks: &[f64], level: u32) -> Option<f64> {
    if level == 0 || blocks.is_empty() {
        return blocks.first().copied();
    }
    let half = (1 << (level - 1)).min(blocks.len());
    let left = tree_sum(&blocks[..half], level - 1)?;
    Some(tree_sum(&blocks[half..], level - 1).map_or(left, |right| left + right))
}
