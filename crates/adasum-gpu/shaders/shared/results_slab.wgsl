// All segments' results lie in one buffer.
@group(0) @binding(3) var<storage, read_write> results: array<ResultStored>;

fn store(group: u32, stored: ResultStored) {
    results[group] = stored;
}
