// Every input has a buffer of its own, one segment of whole groups. Bindings 8 and up, at most six of them, since a stage may have
// no more than eight storage buffers in all.
#for i in 0..K
@group(0) @binding({8+i}) var<storage, read> input_{i}: array<Stored>;

fn load_{i}(group: u32) -> Stored {
    return input_{i}[group];
}
#end
