//! Every shader there is, in every dtype and arithmetic, is valid WGSL: parsed and validated as a device would, without one.

use std::collections::BTreeSet;

use adasum_gpu::shader::{Arithmetic, Element, Inputs, Kernel, MAX_INPUTS, MAX_SEPARATE_INPUTS, Tile};

fn all_kernels() -> BTreeSet<(Kernel, Element)> {
    let mut kernels = BTreeSet::new();
    for element in Element::ALL {
        for input_count in 1..=MAX_INPUTS {
            for is_scaled in [false, true] {
                let tiles = Tile::cover(input_count);
                kernels.extend(tiles.iter().map(|tile| (Kernel::gram(tile, is_scaled), element)));
                kernels.insert((Kernel::Refine { input_count, is_scaled }, element));
            }
            for result in [element, Element::F32] {
                kernels.insert((Kernel::Combine { input_count, result }, element));
            }
        }
        kernels.insert((Kernel::Sum, element));
        kernels.insert((Kernel::Copy, element));
        kernels.insert((Kernel::Trim, element));
        kernels.extend(Element::ALL.map(|result| (Kernel::Convert { result }, element)));
    }
    kernels
}

fn input_count(kernel: Kernel) -> usize {
    match kernel {
        Kernel::Gram { input_count, .. } | Kernel::Refine { input_count, .. } | Kernel::Combine { input_count, .. } => {
            input_count
        }
        Kernel::Sum | Kernel::Convert { .. } | Kernel::Copy | Kernel::Trim => 0,
    }
}

fn validate(text: &str) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let (flags, capabilities) = (naga::valid::ValidationFlags::all(), capabilities_of(text));
    let mut validator = naga::valid::Validator::new(flags, capabilities);
    validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    Ok(module)
}

fn valid(text: &str, what: impl Fn() -> String) -> naga::Module {
    validate(text).unwrap_or_else(|error| panic!("{}: {error}", what()))
}

/// Only what adds up by subgroups may need them.
fn capabilities_of(text: &str) -> naga::valid::Capabilities {
    let has_subgroups = text.contains("fn find_lanes");
    if has_subgroups { naga::valid::Capabilities::SUBGROUP } else { naga::valid::Capabilities::empty() }
}

/// Storage bindings by their number; a stage may have eight.
fn storage_bindings(module: &naga::Module) -> Vec<u32> {
    let storage = module
        .global_variables
        .iter()
        .filter(|(_, variable)| matches!(variable.space, naga::AddressSpace::Storage { .. }));
    storage.filter_map(|(_, variable)| variable.binding.as_ref().map(|binding| binding.binding)).collect()
}

#[test]
fn every_kernel_is_valid_in_every_dtype_and_arithmetic() {
    let kernels: Vec<_> = all_kernels().into_iter().collect();
    assert!(kernels.len() > 200);
    let validate_all = |kernels: &[(Kernel, Element)]| {
        for &(kernel, element) in kernels {
            for arithmetic in Arithmetic::all_ways() {
                let text = kernel.wgsl(element, arithmetic, Inputs::Slab);
                let module = valid(&text, || format!("{kernel:?} {element:?} {arithmetic:?}"));
                assert!(storage_bindings(&module).len() <= 8);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for part in kernels.chunks(kernels.len().div_ceil(threads)) {
            scope.spawn(move || validate_all(part));
        }
    });
}

#[test]
fn inputs_may_lie_in_buffers_of_their_own() {
    for &(kernel, element) in &all_kernels() {
        let count = input_count(kernel);
        if (1..=MAX_SEPARATE_INPUTS).contains(&count) {
            let text = kernel.wgsl(element, Arithmetic::ALL[0], Inputs::Separate);
            let mut bindings = storage_bindings(&valid(&text, || format!("{kernel:?} {element:?}")));
            bindings.sort_unstable();
            assert!(bindings.windows(2).all(|pair| pair[0] < pair[1]), "{bindings:?}");
            assert!(bindings.len() <= 8, "{kernel:?}: {bindings:?}");
        }
    }
}

#[test]
fn subgroups_are_used_where_threads_add_up_and_nowhere_else() {
    for &(kernel, element) in &all_kernels() {
        let text = |arithmetic: Arithmetic| kernel.wgsl(element, arithmetic, Inputs::Slab);
        let [plain, by_subgroups] = [Arithmetic::ALL[0], Arithmetic::ALL[0].with_subgroups()].map(text);
        let adds_up = matches!(kernel, Kernel::Gram { .. } | Kernel::Refine { .. });
        assert_eq!(by_subgroups.contains("subgroupShuffleDown"), adds_up, "{kernel:?}");
        assert!(!plain.contains("subgroup"), "{kernel:?}");
    }
}

#[test]
fn wrong_shaders_are_noticed() {
    let text = Kernel::Copy.wgsl(Element::F32, Arithmetic::ALL[0], Inputs::Slab);
    assert!(validate(&text).is_ok());
    assert!(validate(&text.replace("call.count", "call.counts")).is_err());
    assert!(validate(&text.replace("64u)", "64.0)")).is_err());
}
