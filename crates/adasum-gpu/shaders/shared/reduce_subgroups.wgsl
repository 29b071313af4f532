// The same by subgroups, whose lanes hand each other numbers without memory between them: the lanes of each add theirs, and then
// one thread a sum adds what the subgroups have. Right for subgroups of any size. The order follows from their sizes, so a device
// gives equal bits for equal inputs.
//
// A lane adds what the next one has, then what the second next one has, then the fourth: the first has it all in the end, if the
// lanes that run are the first ones. They always are, as far as anyone has seen, but nobody promises it. So it is looked at; where
// it is otherwise no lanes are added, and every thread counts as a subgroup.
//
// A browser wants `enable subgroups;` in front, which naga does not know.
const THREADS: u32 = 64u;
const BATCH: u32 = 16u;

// What the subgroups have, one sum behind the other, and behind all of them a place for each thread that has nothing to say: some
// compilers cannot bear as many branches as there are sums, so every thread writes.
var<workgroup> batch: array<vec2<f32>, 1088>;
var<workgroup> is_irregular: atomic<u32>;

struct Lane {
    index: u32,
    // How many add up among themselves.
    count: u32,
    // Where this one writes the first sum, and how far behind it the next one.
    first: u32,
    step: u32,
    // How many have something to say.
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
    // Threads that have left a loop one after the other are together again behind it.
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

// For distances of 1, 2, 4, ... below the count.
fn add_lane(lane: Lane, own: vec2<f32>, distance: u32) -> vec2<f32> {
    let next = vec2<f32>(subgroupShuffleDown(own.x, distance), subgroupShuffleDown(own.y, distance));
    return select(own, add_pair(own, next), lane.index + distance < lane.count);
}

fn hold(lane: Lane, place: u32, sum: vec2<f32>) {
    batch[lane.first + place * lane.step] = sum;
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
    // Nobody may write the next sums while these are read.
    workgroupBarrier();
}
