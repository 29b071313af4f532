// Consecutive groups of one segment, and the row of the other tables that belongs to them. A workgroup takes one chunk
// at a time.
struct Chunk {
    first_group: u32,
    group_count: u32,
    row: u32,
    spare: u32,
}

@group(0) @binding(2) var<storage, read> chunks: array<Chunk>;

fn chunk_at(index: u32) -> Chunk {
    return chunks[index];
}
