// slab += source, element by element, rounded to the slab's dtype: this accumulates micro-batches in a slot.
#import call
#import pair
#import element
#import result

@group(0) @binding(1) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> slab: array<Stored>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
    for (var group = id.x; group < call.count; group += num_workgroups.x * 64u) {
        let at = input_start(0u) + group;
        let a = widen(slab[at]);
        let b = widen(source[input_start(1u) + group]);
        var upper = vec4<f32>(0.0);
        var lower = vec4<f32>(0.0);
#for e in 0..4
        let sum_{e} = two_sum(a[{e}u], b[{e}u]);
        upper[{e}u] = sum_{e}.x;
        lower[{e}u] = sum_{e}.y;
#end
        let bits = bitcast<vec4<u32>>(upper) & vec4<u32>(0x7f800000u);
        slab[at] = narrow(upper, select(vec4<f32>(0.0), lower, bits != vec4<u32>(0x7f800000u)));
    }
}
