// Converts a vector from one dtype to another, rounded once.
#import call
#import pair
#import element
#import result

@group(0) @binding(1) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> target_groups: array<ResultStored>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
    for (var group = id.x; group < call.count; group += num_workgroups.x * 64u) {
        let wide = widen(source[input_start(0u) + group]);
        target_groups[input_start(1u) + group] = narrow(wide, vec4<f32>(0.0));
    }
}
