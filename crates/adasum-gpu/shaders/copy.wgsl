// Copies a vector: the benchmark compares the bandwidth of every other kernel with that of this one.
#import call

@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> target_groups: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
    for (var group = id.x; group < call.count; group += num_workgroups.x * 64u) {
        target_groups[input_start(1u) + group] = source[input_start(0u) + group];
    }
}
