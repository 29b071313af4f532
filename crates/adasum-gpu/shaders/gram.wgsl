// Products of inputs with each other, a chunk at a time.
//
// A workgroup takes a chunk, and each of its threads every 64th group of the chunk. A thread adds its products, with
// their rounding errors, into pairs of f32; the workgroup adds the pairs of its threads, and the host adds the partial
// sums of all chunks, in f64. The inputs (i, j) that are multiplied have i in 0..R and j in max(i, FIRST)..K: all
// inputs with each other (R = K, FIRST = 0), or those of one list with those of another.
//
// The kernel also finds the largest magnitude of each input, as bits (LARGEST). It shows whether all elements are
// finite, and whether products may have left f32's range. If they may, the host scales the inputs by powers of two, and
// dispatches again (SCALED).
#import call
#import pair
#import element
#import inputs
#import chunk

@group(0) @binding(3) var<storage, read_write> partials: array<vec2<f32>>;
#if LARGEST
@group(0) @binding(4) var<storage, read_write> largest: array<u32>;
#end
#if SCALED
@group(0) @binding(5) var<storage, read> scales: array<f32>;
#end

#import reduce
#if LARGEST

var<workgroup> largest_of_chunk: array<atomic<u32>, 16>;
#end

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
#for i in 0..R
#for j in max(i,FIRST)..K
        var sum_{i}_{j} = vec2<f32>(0.0, 0.0);
#end
#end
#for i in 0..K
#if LARGEST
        var largest_{i} = 0u;
#end
#if SCALED
        let scale_{i} = scales[chunk.row * {K}u + {i}u];
#end
#end
        for (var at = thread; at < chunk.group_count; at += THREADS) {
            let group = chunk.first_group + at;
#for i in 0..K
            let stored_{i} = load_{i}(group);
#if LARGEST
            largest_{i} = max(largest_{i}, largest_of(stored_{i}));
#end
#if SCALED
            let x_{i} = widen(stored_{i}) * scale_{i};
#else
            let x_{i} = widen(stored_{i});
#end
#end
#for e in 0..4
#for i in 0..R
#for j in max(i,FIRST)..K
            sum_{i}_{j} = add_product(sum_{i}_{j}, x_{i}[{e}u], x_{j}[{e}u]);
#end
#end
#end
        }
#if SUBGROUPS
        let lane = find_lanes(thread, subgroup, subgroup_count, lane_index);
        for (var distance = 1u; distance < lane.count; distance <<= 1u) {
#for i in 0..R
#for j in max(i,FIRST)..K
            sum_{i}_{j} = add_lane(lane, sum_{i}_{j}, distance);
#end
#end
        }
#else
        let lane = thread;
#end
        var first_partial = index * {PAIRS}u;
        var waiting = 0u;
#for i in 0..R
#for j in max(i,FIRST)..K
        hold(lane, waiting, sum_{i}_{j});
        waiting += 1u;
        if (waiting == BATCH) {
            reduce_batch(lane, thread, waiting, first_partial);
            first_partial += waiting;
            waiting = 0u;
        }
#end
#end
        if (waiting > 0u) {
            reduce_batch(lane, thread, waiting, first_partial);
        }
#if LARGEST
        if (thread < {K}u) {
            atomicStore(&largest_of_chunk[thread], 0u);
        }
        workgroupBarrier();
#for i in 0..K
        atomicMax(&largest_of_chunk[{i}u], largest_{i});
#end
        workgroupBarrier();
        if (thread < {K}u) {
            largest[index * {K}u + thread] = atomicLoad(&largest_of_chunk[thread]);
        }
#end
        // No thread may write the next chunk's sums while these are read.
        workgroupBarrier();
    }
}
