// Every input has a buffer of its own, which holds one segment of whole groups. The bindings are 8 and up. There are at
// most six, since a stage may have no more than eight storage buffers.
#for i in 0..K
@group(0) @binding({8+i}) var<storage, read> input_{i}: array<Stored>;

fn load_{i}(group: u32) -> Stored {
    return input_{i}[group];
}
#end
