// A segment's result has a buffer of its own, which need not end with a group: nothing is written behind its last element.
@group(0) @binding(3) var<storage, read_write> results: array<u32>;

fn store(group: u32, stored: ResultStored) {
    let first = group * RESULT_WORDS;
    let end = (call.segment_elements * RESULT_WORDS + 3u) / 4u;
    for (var word = 0u; word < RESULT_WORDS; word += 1u) {
        if (first + word < end) {
            results[first + word] = stored[word];
        }
    }
}
