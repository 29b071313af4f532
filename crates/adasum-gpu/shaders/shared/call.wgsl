// The arguments of one dispatch. Offsets count groups of four elements.
struct Call {
    // Offset of each input's first group in the slab or in its own buffer: four numbers a vec4.
    inputs: array<vec4<u32>, 4>,
    // Chunks of the table (gram, refine, combine), or groups (sum, convert, copy).
    count: u32,
    // Always 0, but no compiler knows that: see guard_opaque.wgsl.
    zero: u32,
    // For a single segment, whose chunks need no table: see chunk_call.wgsl.
    chunk_groups: u32,
    segment_groups: u32,
}

@group(0) @binding(0) var<uniform> call: Call;

fn input_start(input: u32) -> u32 {
    return call.inputs[input / 4u][input % 4u];
}
