//! Buffers, and one kernel over them.

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::shader::{Element, Kernel, MAX_INPUTS, WORKGROUP_THREADS};

/// What a kernel is told; see `shaders/shared/call.wgsl`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    /// Where each input's first group lies.
    pub inputs: [u32; MAX_INPUTS],
    /// Chunks or groups.
    pub count: u32,
}

impl Call {
    /// Bytes of a call.
    pub const BYTES: u64 = 4 * (MAX_INPUTS as u64 + 4);

    /// Where slots lie that follow each other at a distance.
    pub fn of_slots(slots: impl IntoIterator<Item = usize>, groups_apart: u64, count: usize) -> Self {
        let mut call = Self { inputs: [0; MAX_INPUTS], count: count as u32 };
        for (input, slot) in call.inputs.iter_mut().zip(slots) {
            *input = (slot as u64 * groups_apart) as u32;
        }
        call
    }

    fn bytes(&self) -> Vec<u8> {
        let numbers = self.inputs.iter().chain([&self.count, &0, &0, &0]);
        numbers.flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// A kernel with the memory it works on; it can be run any number of times.
pub(crate) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    call: wgpu::Buffer,
    workgroups: u32,
}

impl Dispatch {
    /// `buffers` are bindings and what they are bound to, apart from the call, which is binding 0.
    ///
    /// # Errors
    /// Whatever the device says.
    pub fn new(
        gpu: &Gpu,
        kernel: Kernel,
        element: Element,
        call: Call,
        buffers: &[(u32, &wgpu::Buffer)],
    ) -> Result<Self> {
        let pipeline = gpu.pipeline(kernel, element)?;
        let call_buffer = buffer(gpu, Call::BYTES, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)?;
        let bindings = gpu.scoped(|| {
            let all = [(0, &call_buffer)].into_iter().chain(buffers.iter().copied());
            let entries: Vec<_> = all.map(|(binding, buffer)| entry(binding, buffer)).collect();
            let layout = pipeline.get_bind_group_layout(0);
            gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &entries,
            })
        })?;
        let mut dispatch = Self { pipeline, bindings, call: call_buffer, workgroups: 0 };
        dispatch.set(gpu, kernel, call)?;
        Ok(dispatch)
    }

    /// Changes what the kernel is told, for the submissions that come.
    ///
    /// # Errors
    /// Whatever the device says.
    pub fn set(&mut self, gpu: &Gpu, kernel: Kernel, call: Call) -> Result<()> {
        let is_by_chunks = matches!(kernel, Kernel::Gram { .. } | Kernel::Refine { .. } | Kernel::Combine { .. });
        let wanted = if is_by_chunks { call.count } else { call.count.div_ceil(WORKGROUP_THREADS as u32) };
        // Each workgroup goes on to the next chunk until there is none, so that any number of them does.
        self.workgroups = wanted.min(gpu.limits().workgroups);
        gpu.scoped(|| gpu.queue().write_buffer(&self.call, 0, &call.bytes()))
    }

    /// Puts the kernel's run behind what is in the encoder already.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        if self.workgroups > 0 {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.dispatch_workgroups(self.workgroups, 1, 1);
        }
    }
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}

/// A buffer for a kernel.
pub(crate) fn storage(gpu: &Gpu, byte_length: u64) -> Result<wgpu::Buffer> {
    use wgpu::BufferUsages as Usage;
    buffer(gpu, byte_length, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
}

/// A buffer that the host reads.
pub(crate) fn staging(gpu: &Gpu, byte_length: u64) -> Result<wgpu::Buffer> {
    buffer(gpu, byte_length, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
}

/// A buffer for a kernel, with something in it.
pub(crate) fn filled(gpu: &Gpu, bytes: &[u8]) -> Result<wgpu::Buffer> {
    let buffer = storage(gpu, bytes.len() as u64)?;
    gpu.scoped(|| gpu.queue().write_buffer(&buffer, 0, bytes))?;
    Ok(buffer)
}

fn buffer(gpu: &Gpu, byte_length: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    let most = gpu.limits().buffer_bytes;
    if byte_length > most {
        return Err(Error::OutOfMemory(format!(
            "a buffer of {byte_length} bytes is needed, the device makes them up to {most}. Use a shorter vector, or the CPU."
        )));
    }
    // No binding may be empty.
    let size = byte_length.max(16).next_multiple_of(4);
    gpu.scoped(|| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    })
}

/// Pairs of f32 whose sums are these numbers, as the shaders read them.
pub(crate) fn pairs_of(numbers: impl IntoIterator<Item = f64>) -> Vec<u8> {
    let halves = numbers.into_iter().flat_map(|number| {
        // No kernel tells +0 and -0 apart but that which leaves out inputs whose factor is 0.
        let upper = number as f32 + 0.0;
        let lower = if upper.is_finite() { (number - f64::from(upper)) as f32 } else { 0.0 };
        [upper, lower]
    });
    halves.flat_map(f32::to_le_bytes).collect()
}
