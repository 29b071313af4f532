// result = sum factor_i g_i, rounded once. The factors are f64 on the host, and pairs of f32 here, in one row a
// segment; the sum of each element is a pair, too. An input whose factor is 0 takes no part, whatever is in it. The
// host sets the first factor of a row to NaN to make its segment NaN: devices need not compute NaN from NaN.
#import call
#import pair
#import element
#import inputs
#import chunk
#import result

@group(0) @binding(3) var<storage, read_write> results: array<ResultStored>;
@group(0) @binding(4) var<storage, read> factors: array<vec2<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) workgroup_id: vec3<u32>,
    @builtin(num_workgroups) num_workgroups: vec3<u32>,
) {
    for (var index = workgroup_id.x; index < call.count; index += num_workgroups.x) {
        let chunk = chunk_at(index);
#for i in 0..K
        let bits_{i} = factors[chunk.row * {K}u + {i}u];
        let factor_{i} = bitcast<vec2<f32>>(bits_{i});
        let mask_{i} = Stored(select(0xffffffffu, 0u, bits_{i}.x == 0u));
#end
        let is_nan = (bits_0.x & 0x7fffffffu) > 0x7f800000u;
        for (var at = thread; at < chunk.group_count; at += 64u) {
            let group = chunk.first_group + at;
            var upper = vec4<f32>(0.0);
            var lower = vec4<f32>(0.0);
            var plain = vec4<f32>(0.0);
#for i in 0..K
            let x_{i} = widen(load_{i}(group) & mask_{i});
            plain += factor_{i}.x * x_{i};
#end
#for e in 0..4
            var sum_{e} = vec2<f32>(0.0, 0.0);
#for i in 0..K
            sum_{e} = add_scaled(sum_{e}, factor_{i}, x_{i}[{e}u]);
#end
            upper[{e}u] = sum_{e}.x;
            lower[{e}u] = sum_{e}.y;
#end
            // The rounding error of an infinite sum is NaN: the plain sum has the infinity.
            let bits = bitcast<vec4<u32>>(upper + lower) & vec4<u32>(0x7f800000u);
            let is_finite = bits != vec4<u32>(0x7f800000u);
            let stored = narrow(select(plain, upper, is_finite), select(vec4<f32>(0.0), lower, is_finite));
            results[group] = select(stored, ResultStored(STORED_NAN), is_nan);
        }
    }
}
