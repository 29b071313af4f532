// Every input has a buffer of its own, one segment, whose length need be no multiple of a group, and behind whose end there may
// be anything: what is missing reads as zero. Bindings 8 and up, at most six of them, since a stage may have no more than eight
// storage buffers in all.
#for i in 0..K
@group(0) @binding({8+i}) var<storage, read> input_{i}: array<u32>;

fn load_{i}(group: u32) -> Stored {
    var stored = Stored(0u);
    let first = group * STORED_WORDS;
    for (var word = 0u; word < STORED_WORDS; word += 1u) {
        let kept = kept_bits((first + word) * ELEMENTS_A_WORD);
        if (kept != 0u) {
            stored[word] = input_{i}[first + word] & kept;
        }
    }
    return stored;
}
#end

// Which bits of a word, that begins with this element, belong to the segment.
fn kept_bits(element: u32) -> u32 {
    let is_whole = element + ELEMENTS_A_WORD <= call.segment_elements;
    return select(select(0u, 0xffffu, element < call.segment_elements), 0xffffffffu, is_whole);
}
