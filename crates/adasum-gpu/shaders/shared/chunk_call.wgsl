// Chunks of a single segment, all but the last of one length. They need no table, so its binding is free for an input.
struct Chunk {
    first_group: u32,
    group_count: u32,
    row: u32,
}

fn chunk_at(index: u32) -> Chunk {
    let first_group = index * call.chunk_groups;
    return Chunk(first_group, min(call.chunk_groups, call.segment_groups - first_group), 0u);
}
