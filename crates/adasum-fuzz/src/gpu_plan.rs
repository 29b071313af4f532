//! The plan of a reduction on a device, which needs no device: how any segments are cut for any limits.

use adasum_gpu::layout::{Limits, Window};
use adasum_gpu::plan::Plan;
use adasum_gpu::shader::{Element, Inputs};

use crate::bytes::Bytes;
use crate::session::Choices;

const CODES: [&str; 3] = ["ERR_ARGUMENT", "ERR_UNSUPPORTED", "ERR_OUT_OF_MEMORY"];

/// # Panics
/// If a group lies in no chunk or in two, or beyond the limits; or for another error than a plan's.
pub fn run(data: &[u8]) -> bool {
    let mut bytes = Bytes(data);
    let element = *bytes.pick(&Element::ALL);
    let slot_count = bytes.below(20);
    let limits = limits_of(&mut bytes);
    let own_bytes = if bytes.below(2) == 0 { u64::MAX } else { number(&mut bytes) };
    let counts: Vec<u64> = (0..bytes.below(12)).map(|_| number(&mut bytes)).collect();
    match Plan::with_own(element, slot_count, &counts, limits, own_bytes) {
        Ok(plan) => {
            check(&plan, &counts, &limits);
            true
        }
        Err(error) => {
            assert!(CODES.contains(&error.code()), "{} for {counts:?}", error.code());
            assert!(error.to_string().ends_with('.'), "what to do? {error}");
            false
        }
    }
}

/// Small and large ones, and those around powers of two.
fn number(bytes: &mut Bytes) -> u64 {
    let power = 1_u64 << bytes.below(64);
    match bytes.below(4) {
        0 => u64::from(bytes.byte()),
        1 => power,
        2 => power.wrapping_sub(1 + u64::from(bytes.byte())),
        _ => power.wrapping_add(u64::from(bytes.byte())),
    }
}

fn limits_of(bytes: &mut Bytes) -> Limits {
    let [binding_bytes, buffer_bytes, memory_bytes] = [(); 3].map(|()| number(bytes));
    // Devices promise more of all three than anybody needs; less must be refused, not survived.
    Limits { binding_bytes, buffer_bytes, workgroups: 1 + bytes.below(1 << 16) as u32, memory_bytes }
}

fn check(plan: &Plan, counts: &[u64], limits: &Limits) {
    let mut next_group = 0;
    for (index, window) in plan.windows().iter().enumerate() {
        match window.inputs {
            Inputs::Slab => {
                assert_eq!(window.groups.start, next_group, "windows of {counts:?}");
                next_group = window.groups.end;
                assert!(plan.slab_bytes(index) <= limits.binding_bytes.min(limits.buffer_bytes));
            }
            Inputs::Separate => {
                let segment = plan.own_segment(index).unwrap_or(usize::MAX);
                assert_eq!(window.group_count(), counts[segment].div_ceil(4), "segment {segment} of {counts:?}");
            }
        }
        check_chunks(window);
    }
    assert_eq!(next_group, plan.layout().group_count(), "the windows of {counts:?}");
}

/// Every group of a window is in one chunk.
fn check_chunks(window: &Window) {
    let mut next_group = 0;
    for chunk in window.batches.iter().flat_map(|batch| &batch.chunks) {
        assert_eq!(u64::from(chunk.first_group), next_group);
        assert!(chunk.group_count > 0);
        next_group += u64::from(chunk.group_count);
    }
    assert_eq!(next_group, window.group_count());
}
