// Clears the half word behind the last element of segments of an odd number of two-byte elements: copies move whole
// words, so they write it, too.
#import call

@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read_write> slab: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
    for (var index = id.x; index < call.count; index += num_workgroups.x * 64u) {
        slab[words[index]] &= 0xffffu;
    }
}
