// Adds the pairs of all threads of a workgroup, sixteen sums at a time. For each sum four threads add sixteen pairs
// each, and one of them adds the four results. The order is fixed, so a device gives equal bits for equal inputs.
const THREADS: u32 = 64u;
const BATCH: u32 = 16u;

var<workgroup> batch: array<vec2<f32>, 1024>;
var<workgroup> quarters: array<vec2<f32>, 64>;

// A thread's index among those that add their pairs: its number in the workgroup.
alias Lane = u32;

fn hold(lane: Lane, index: u32, sum: vec2<f32>) {
    batch[index * THREADS + lane] = sum;
}

fn reduce_batch(lane: Lane, thread: u32, sum_count: u32, first_partial: u32) {
    workgroupBarrier();
    let sum = thread / 4u;
    if (sum < sum_count) {
        let first = sum * THREADS + (thread % 4u) * 16u;
        var total = batch[first];
        for (var next = 1u; next < 16u; next += 1u) {
            total = add_pair(total, batch[first + next]);
        }
        quarters[thread] = total;
    }
    workgroupBarrier();
    if (sum < sum_count && thread % 4u == 0u) {
        let left = add_pair(quarters[thread], quarters[thread + 1u]);
        let right = add_pair(quarters[thread + 2u], quarters[thread + 3u]);
        partials[first_partial + sum] = add_pair(left, right);
    }
}
