// Every input has a buffer of its own, one segment, whose length need be no multiple of a group: what is missing reads as zero.
// Bindings 8 and up, at most six of them, since a stage may have no more than eight storage buffers in all.
#for i in 0..K
@group(0) @binding({8+i}) var<storage, read> input_{i}: array<u32>;

fn load_{i}(group: u32) -> Stored {
    var stored = Stored(0u);
    let first = (input_start({i}u) + group) * STORED_WORDS;
    for (var word = 0u; word < STORED_WORDS; word += 1u) {
        if (first + word < arrayLength(&input_{i})) {
            stored[word] = input_{i}[first + word];
        }
    }
    return stored;
}
#end
