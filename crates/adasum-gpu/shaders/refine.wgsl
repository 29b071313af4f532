// Products of one combination x = sum factor_i g_i with itself and with every input, for vectors whose terms nearly
// cancel: the products of x that follow from the Gram matrix are then mostly rounding error. x is formed as a pair of
// f32, element by element, and never stored. The chunk's row of the table has the factors and, behind them, the scales:
// they share a table, so that there are bindings for six inputs in buffers of their own. There are K + 1 sums: x.x,
// then x.g_i.
#import call
#import pair
#import element
#import inputs
#import chunk

@group(0) @binding(3) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> factors: array<vec2<f32>>;

#import reduce

// sum + x * g, where x has two parts
fn add_combined(sum: vec2<f32>, x: vec2<f32>, g: f32) -> vec2<f32> {
    let product = two_product(x.x, g);
    let total = two_sum(sum.x, product.x);
    return vec2<f32>(total.x, sum.y + (total.y + (product.y + x.y * g)));
}

@compute @workgroup_size(64)
fn main(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) workgroup_id: vec3<u32>,
    @builtin(num_workgroups) num_workgroups: vec3<u32>,
#if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroup_count: u32,
    @builtin(subgroup_invocation_id) lane_index: u32,
#end
) {
    for (var index = workgroup_id.x; index < call.count; index += num_workgroups.x) {
        let chunk = chunk_at(index);
        var square = vec2<f32>(0.0, 0.0);
#for i in 0..K
        var sum_{i} = vec2<f32>(0.0, 0.0);
        let factor_{i} = factors[chunk.row * {WIDTH}u + {i}u];
#if SCALED
        let scale_{i} = factors[chunk.row * {WIDTH}u + {K+i}u].x;
#end
#end
        for (var at = thread; at < chunk.group_count; at += THREADS) {
            let group = chunk.first_group + at;
#for i in 0..K
#if SCALED
            let x_{i} = widen(load_{i}(group)) * scale_{i};
#else
            let x_{i} = widen(load_{i}(group));
#end
            // An input that takes no part may have NaN in it, and 0 times NaN is NaN.
            let term_{i} = select(x_{i}, vec4<f32>(0.0), factor_{i}.x == 0.0);
#end
#for e in 0..4
            var x_{e}_parts = vec2<f32>(0.0, 0.0);
#for i in 0..K
            x_{e}_parts = add_scaled(x_{e}_parts, factor_{i}, term_{i}[{e}u]);
#end
            let combined_{e} = two_sum(x_{e}_parts.x, x_{e}_parts.y);
            square = add_combined(square, combined_{e}, combined_{e}.x);
            square.y += combined_{e}.x * combined_{e}.y;
#for i in 0..K
            sum_{i} = add_combined(sum_{i}, combined_{e}, x_{i}[{e}u]);
#end
#end
        }
#if SUBGROUPS
        let lane = find_lanes(thread, subgroup, subgroup_count, lane_index);
        for (var distance = 1u; distance < lane.count; distance <<= 1u) {
            square = add_lane(lane, square, distance);
#for i in 0..K
            sum_{i} = add_lane(lane, sum_{i}, distance);
#end
        }
#else
        let lane = thread;
#end
        var first_partial = index * {K+1}u;
        hold(lane, 0u, square);
        var waiting = 1u;
#for i in 0..K
        hold(lane, waiting, sum_{i});
        waiting += 1u;
        if (waiting == BATCH) {
            reduce_batch(lane, thread, waiting, first_partial);
            first_partial += waiting;
            waiting = 0u;
        }
#end
        if (waiting > 0u) {
            reduce_batch(lane, thread, waiting, first_partial);
        }
        workgroupBarrier();
    }
}
