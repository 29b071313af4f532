// All inputs lie in one buffer, one behind the other, so that they take one binding, however many they are.
@group(0) @binding(1) var<storage, read> slab: array<Stored>;

#for i in 0..K
fn load_{i}(group: u32) -> Stored {
    return slab[input_start({i}u) + group];
}
#end
