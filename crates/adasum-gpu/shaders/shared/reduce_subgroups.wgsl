// Adds the pairs of all threads of a workgroup, as reduce_workgroup.wgsl does, but by subgroups, whose lanes pass
// numbers to each other without memory between them. The lanes of each subgroup add their pairs, and then one thread a
// sum adds the sums of the subgroups. It works with subgroups of any size. The order follows from their sizes, so a
// device gives equal bits for equal inputs.
//
// A lane adds the sum of the next lane, then that of the second next, then that of the fourth next, and so on. In the
// end the first lane has the whole sum, if the active lanes are the first ones of the subgroup. They are on every
// device seen so far, but WGSL does not guarantee it. So find_lanes checks it; if it is not so, no lanes are added, and
// every thread counts as a subgroup.
//
// Browsers require `enable subgroups;` at the beginning, which naga does not know.
const THREADS: u32 = 64u;
const BATCH: u32 = 16u;

// The sums of the subgroups, one sum behind the other. Behind all of them every thread has a spare entry, which it
// writes if it is not the writer of its subgroup: then there is no branch for each sum, of which some compilers cannot
// take so many.
var<workgroup> batch: array<vec2<f32>, 1088>;
var<workgroup> is_irregular: atomic<u32>;

struct Lane {
    index: u32,
    // How many lanes add their pairs to each other.
    count: u32,
    // Index in `batch` at which this lane writes the first sum, and the distance to the next one.
    first: u32,
    step: u32,
    // How many threads write sums that count.
    writer_count: u32,
}

fn first_lanes(count: u32) -> vec4<u32> {
    let begins = vec4<u32>(0u, 32u, 64u, 96u);
    let counts = min(max(vec4<u32>(count), begins) - begins, vec4<u32>(32u));
    return select((vec4<u32>(1u) << counts) - vec4<u32>(1u), vec4<u32>(0xffffffffu), counts == vec4<u32>(32u));
}

fn find_lanes(thread: u32, subgroup: u32, subgroup_count: u32, index: u32) -> Lane {
    if (thread == 0u) {
        atomicStore(&is_irregular, 0u);
    }
    // Threads may have left the loop before at different times: here they are together again.
    workgroupBarrier();
    let running = subgroupBallot(true);
    let counts = countOneBits(running);
    let count = counts.x + counts.y + counts.z + counts.w;
    if (any(running != first_lanes(count))) {
        atomicStore(&is_irregular, 1u);
    }
    workgroupBarrier();
    let is_alone = atomicLoad(&is_irregular) != 0u;
    let is_writer = is_alone || index == 0u;
    return Lane(
        index,
        select(count, 1u, is_alone),
        select(BATCH * THREADS + thread, select(subgroup, thread, is_alone), is_writer),
        select(0u, THREADS, is_writer),
        select(subgroup_count, THREADS, is_alone),
    );
}

// To be called with the distances 1, 2, 4, ... below the count.
fn add_lane(lane: Lane, own: vec2<f32>, distance: u32) -> vec2<f32> {
    let next = vec2<f32>(subgroupShuffleDown(own.x, distance), subgroupShuffleDown(own.y, distance));
    return select(own, add_pair(own, next), lane.index + distance < lane.count);
}

fn hold(lane: Lane, index: u32, sum: vec2<f32>) {
    batch[lane.first + index * lane.step] = sum;
}

fn reduce_batch(lane: Lane, thread: u32, sum_count: u32, first_partial: u32) {
    workgroupBarrier();
    if (thread < sum_count) {
        let first = thread * THREADS;
        var total = batch[first];
        for (var next = 1u; next < lane.writer_count; next += 1u) {
            total = add_pair(total, batch[first + next]);
        }
        partials[first_partial + thread] = total;
    }
    // No thread may write the next sums while these are read.
    workgroupBarrier();
}
