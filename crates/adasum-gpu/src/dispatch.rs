//! Dispatches on a wgpu device, and the buffers that they are bound to.

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::plan::dispatch::{Call, PlannedDispatch, binding, workgroups};
use crate::shader::{Element, Kernel};

/// A kernel bound to its buffers; it can be encoded any number of times.
pub(crate) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    call: wgpu::Buffer,
    workgroups: u32,
}

impl Dispatch {
    /// `buffers` are bindings and the buffers bound to them. The call has a buffer that is made and bound here.
    ///
    /// # Errors
    /// Those of the device.
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
            let all = [(binding::CALL, &call_buffer)].into_iter().chain(buffers.iter().copied());
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

    /// A dispatch of a plan, with buffers for its own tables; `buffers` are the others.
    ///
    /// # Errors
    /// Those of the device.
    pub fn of(gpu: &Gpu, planned: &PlannedDispatch, buffers: &[(u32, &wgpu::Buffer)]) -> Result<Self> {
        let mut tables = Vec::with_capacity(planned.tables.len());
        for (binding, bytes) in &planned.tables {
            tables.push((*binding, filled(gpu, bytes)?));
        }
        let tables = tables.iter().map(|(binding, table)| (*binding, table));
        let all: Vec<_> = buffers.iter().copied().chain(tables).collect();
        Self::new(gpu, planned.kernel, planned.element, planned.call, &all)
    }

    /// Changes the kernel's arguments for the submissions that follow.
    ///
    /// # Errors
    /// Those of the device.
    pub fn set(&mut self, gpu: &Gpu, kernel: Kernel, call: Call) -> Result<()> {
        self.workgroups = workgroups(kernel, call, gpu.limits());
        gpu.scoped(|| gpu.queue().write_buffer(&self.call, 0, &call.bytes()))
    }

    /// Appends the dispatch to the encoder.
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

/// A buffer for a kernel, with these bytes in it.
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
