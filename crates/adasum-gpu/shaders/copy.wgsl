// The device's copy bandwidth, with which the benchmark compares every other kernel.
#import call

@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> target_groups: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
    for (var group = id.x; group < call.count; group += num_workgroups.x * 64u) {
        target_groups[input_start(1u) + group] = source[input_start(0u) + group];
    }
}
