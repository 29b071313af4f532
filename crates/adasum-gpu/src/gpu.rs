//! An open device: its limits, its pipelines, its first failure, and how to wait for it. The module `open` makes one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use crate::adapter::AdapterSummary;
use crate::error::{Error, Result, caught};
use crate::layout::Limits;
use crate::shader::{Arithmetic, Element, Inputs, Kernel};

/// No reduction takes so long: a device that has not finished by then hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// An open device. Clones are the same device; reducers keep it alive.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: Limits,
    summary: AdapterSummary,
    arithmetic: Mutex<Arithmetic>,
    pipelines: Mutex<HashMap<(Kernel, Element, Arithmetic), wgpu::ComputePipeline>>,
    fault: Arc<Mutex<Option<Error>>>,
}

/// Ignores that a thread panicked while it held the lock: what these mutexes hold is replaced as a whole, never half.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// A device of the adapter, within these limits, on which no arithmetic has been tried yet.
    pub(crate) fn new(device: wgpu::Device, queue: wgpu::Queue, summary: AdapterSummary, limits: Limits) -> Self {
        let fault = Arc::new(Mutex::new(None));
        let seen = fault.clone();
        // Without a handler of ours wgpu panics at an error that no scope has caught.
        device.on_uncaptured_error(Arc::new(move |error| record(&seen, from_wgpu(&error))));
        let seen = fault.clone();
        device.set_device_lost_callback(move |reason, words| {
            record(&seen, Error::DeviceLost(format!("the device is lost ({reason:?}: {words}). Open it again.")));
        });
        let (arithmetic, pipelines) = (Mutex::new(Arithmetic::ALL[0]), Mutex::new(HashMap::new()));
        Self { inner: Arc::new(Inner { device, queue, limits, summary, arithmetic, pipelines, fault }) }
    }

    /// The adapter.
    pub fn summary(&self) -> &AdapterSummary {
        &self.inner.summary
    }

    /// The device's limits.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The arithmetic by which it keeps sums exact.
    pub fn arithmetic(&self) -> Arithmetic {
        *lock(&self.inner.arithmetic)
    }

    /// Ends the device: every later call, of any reducer on it, fails with [`Error::DeviceLost`].
    pub fn destroy(&self) {
        record(&self.inner.fault, Error::DeviceLost("the device was destroyed. Open it again.".to_string()));
        caught(|| {
            self.inner.device.destroy();
            Ok(())
        })
        .ok();
    }

    /// Whether its shaders may use subgroups.
    pub(crate) fn has_subgroups(&self) -> bool {
        self.inner.device.features().contains(wgpu::Features::SUBGROUP)
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// Fails if the device has failed before.
    pub(crate) fn check(&self) -> Result<()> {
        lock(&self.inner.fault).clone().map_or(Ok(()), Err)
    }

    /// The pipeline of a kernel, compiled at its first use.
    pub(crate) fn pipeline(&self, kernel: Kernel, element: Element) -> Result<wgpu::ComputePipeline> {
        let arithmetic = self.arithmetic();
        let key = (kernel, element, arithmetic);
        if let Some(pipeline) = lock(&self.inner.pipelines).get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = self.scoped(|| self.compile(kernel, element, arithmetic))?;
        lock(&self.inner.pipelines).insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Sets the arithmetic of the kernels that are made from now on.
    pub(crate) fn set_arithmetic(&self, arithmetic: Arithmetic) {
        *lock(&self.inner.arithmetic) = arithmetic;
    }

    fn compile(&self, kernel: Kernel, element: Element, arithmetic: Arithmetic) -> wgpu::ComputePipeline {
        let text = kernel.wgsl(element, arithmetic, Inputs::Slab);
        let module = self.shader_module(kernel.name(), text);
        self.inner.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name()),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        })
    }

    fn shader_module(&self, name: &str, text: String) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source };
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
        // SAFETY: all checks stay on but that for endless loops; every loop of ours counts up to a bound that `layout`
        // keeps far below where a u32 wraps.
        unsafe { self.inner.device.create_shader_module_trusted(descriptor, checks) }
    }

    /// Calls `work`, and returns the first error that the device reports for it.
    pub(crate) fn scoped<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let scopes: Vec<_> = filters.iter().map(|&filter| self.inner.device.push_error_scope(filter)).collect();
        let done = work();
        let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
        let first = errors.fold(None, |first, error| first.or(Some(from_wgpu(&error))));
        self.check()?;
        first.map_or(Ok(done), Err)
    }

    /// Waits until the device has done what was submitted.
    ///
    /// It waits in one call, without short timeouts: if a wait times out in wgpu while another thread submits, wgpu
    /// panics.
    pub(crate) fn wait(&self, submission: &wgpu::SubmissionIndex) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(LONGEST_WAIT) };
        let polled = self.inner.device.poll(poll);
        self.check()?;
        polled.map(drop).map_err(|error| {
            let lost = Error::DeviceLost(format!("the device does not answer ({error}). Open it again."));
            record(&self.inner.fault, lost.clone());
            lost
        })
    }

    /// Lets the device clean up after what it has done. Does not wait.
    pub(crate) fn tidy(&self) {
        // An error is recorded as the fault, which the next call returns.
        let _ = self.inner.device.poll(wgpu::PollType::Poll);
    }

    /// Makes buffers readable once the submission is done, and gives each one's bytes to `read`, in order.
    pub(crate) fn read_back(
        &self,
        buffers: &[&wgpu::Buffer],
        submission: &wgpu::SubmissionIndex,
        mut read: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        for buffer in buffers {
            let sender = sender.clone();
            buffer.slice(..).map_async(wgpu::MapMode::Read, move |mapped| {
                // Nobody listens any more if the wait has failed.
                let _ = sender.send(mapped.is_ok());
            });
        }
        self.wait(submission)?;
        let mapped = buffers.iter().all(|_| receiver.recv_timeout(LONGEST_WAIT).unwrap_or(false));
        self.check()?;
        if !mapped {
            return Err(Error::DeviceLost("the device's memory could not be read. Open it again.".to_string()));
        }
        for (index, buffer) in buffers.iter().enumerate() {
            let range = buffer.slice(..).get_mapped_range();
            let range =
                range.map_err(|error| Error::Internal(format!("reading device memory: {error}. Report this.")))?;
            read(index, &range);
            drop(range);
            buffer.unmap();
        }
        Ok(())
    }
}

/// The first failure is the cause of those after it.
fn record(fault: &Mutex<Option<Error>>, error: Error) {
    lock(fault).get_or_insert(error);
}

fn from_wgpu(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory(
            "the device has too little memory. Use fewer slots or a shorter vector, or the CPU.".to_string(),
        ),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Internal(format!("the graphics library refused a call: {description}. Report this."))
        }
    }
}
