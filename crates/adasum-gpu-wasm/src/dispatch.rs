//! One dispatch of a plan, as `ts/src/gpu/web/dispatch.ts` reads it.

use adasum_gpu::layout::Limits;
use adasum_gpu::plan::dispatch;
use adasum_gpu::shader::{Arithmetic, Inputs};
use wasm_bindgen::prelude::wasm_bindgen;

/// See [`dispatch::PlannedDispatch`].
#[wasm_bindgen]
pub struct PlannedDispatch {
    inner: dispatch::PlannedDispatch,
    workgroups: u32,
}

impl PlannedDispatch {
    pub fn new(planned: &dispatch::PlannedDispatch, limits: &Limits) -> Self {
        Self { workgroups: planned.workgroups(limits), inner: planned.clone() }
    }
}

#[wasm_bindgen]
impl PlannedDispatch {
    /// Equal for dispatches of one shader.
    #[wasm_bindgen(getter)]
    pub fn key(&self) -> String {
        format!("{:?} {:?} {:?}", self.inner.kernel, self.inner.element, self.inner.inputs)
    }

    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.inner.kernel.name().to_string()
    }

    pub fn wgsl(&self, arithmetic: usize) -> String {
        let plain = Arithmetic::ALL[arithmetic / 2];
        let by_subgroups = arithmetic % 2 == 1;
        let arithmetic = if by_subgroups { plain.with_subgroups() } else { plain };
        let text = self.inner.kernel.wgsl(self.inner.element, arithmetic, self.inner.inputs);
        // Browsers require this line; naga does not know it.
        if by_subgroups { format!("enable subgroups;\n{text}") } else { text }
    }

    #[wasm_bindgen(getter)]
    pub fn window(&self) -> usize {
        self.inner.window
    }

    #[wasm_bindgen(getter)]
    pub fn batch(&self) -> Option<usize> {
        self.inner.batch
    }

    /// Empty unless the inputs have buffers of their own.
    #[wasm_bindgen(getter, js_name = ownSlots)]
    pub fn own_slots(&self) -> Vec<u32> {
        let slots = if self.inner.inputs == Inputs::Separate { &self.inner.slots[..] } else { &[] };
        slots.iter().map(|&slot| slot as u32).collect()
    }

    #[wasm_bindgen(getter)]
    pub fn call(&self) -> Vec<u8> {
        self.inner.call.bytes()
    }

    #[wasm_bindgen(getter)]
    pub fn workgroups(&self) -> u32 {
        self.workgroups
    }

    #[wasm_bindgen(getter, js_name = partialBytes)]
    pub fn partial_bytes(&self) -> f64 {
        self.inner.partial_bytes() as f64
    }

    #[wasm_bindgen(getter, js_name = largestBytes)]
    pub fn largest_bytes(&self) -> f64 {
        self.inner.largest_bytes() as f64
    }

    /// Bindings of the tables that only this dispatch reads.
    #[wasm_bindgen(getter, js_name = tableBindings)]
    pub fn table_bindings(&self) -> Vec<u32> {
        self.inner.tables.iter().map(|(binding, _)| *binding).collect()
    }

    pub fn table(&self, index: usize) -> Vec<u8> {
        self.inner.tables[index].1.clone()
    }
}
