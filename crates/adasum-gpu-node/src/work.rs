//! How errors cross the border, and how calls wait for a device.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use adasum_gpu::Error;
use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, JsError, Task};

/// A result whose error carries a stable code as JavaScript's `error.code`.
pub type Result<T> = napi::Result<T, &'static str>;

/// An error as a JavaScript error.
pub fn to_js(error: &Error) -> napi::Error<&'static str> {
    napi::Error::new(error.code(), error.message())
}

/// The function that a job calls off the main thread.
type Call<T> = Box<dyn FnMut() -> adasum_gpu::Result<T> + Send>;

/// A call that may wait for a device: it runs on the libuv pool.
pub struct Job<T, J> {
    call: Call<T>,
    convert: fn(T) -> J,
    result: PhantomData<fn() -> J>,
}

/// Schedules a call.
pub fn job<T, J>(
    call: impl FnMut() -> adasum_gpu::Result<T> + Send + 'static,
    convert: fn(T) -> J,
) -> AsyncTask<Job<T, J>>
where
    T: Send + 'static,
    J: ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Job { call: Box::new(call), convert, result: PhantomData })
}

impl<T: Send + 'static, J: ToNapiValue + TypeName + 'static> Task for Job<T, J> {
    type Output = adasum_gpu::Result<T>;
    type JsValue = J;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        // Node calls this through C, where a panic would abort the process.
        catch_unwind(AssertUnwindSafe(|| (self.call)()))
            .map_err(|_| napi::Error::from_reason("the addon panicked. Please report this with the stack above."))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<J> {
        // napi-rs keeps the code of an error only if that is a JavaScript value already.
        output.map(self.convert).map_err(|error| JsError::from(to_js(&error)).into_unknown(env).into())
    }
}

/// An object on a device, which one call at a time may use; None once it has been released.
pub struct Exclusive<T>(Mutex<Option<T>>);

impl<T> Exclusive<T> {
    /// Wraps an object.
    pub fn new(item: T) -> Self {
        Self(Mutex::new(Some(item)))
    }

    /// Locks it, for calls on the thread pool, which may wait for each other.
    pub fn wait(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks it, for calls on the main thread, which may not wait: ERR_NOT_READY if another call has it.
    pub fn now(&self) -> Result<MutexGuard<'_, Option<T>>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(napi::Error::new(
                "ERR_NOT_READY",
                "another call on this reducer is not done. Await it first.".to_string(),
            )),
        }
    }
}

impl<T> Drop for Exclusive<T> {
    fn drop(&mut self) {
        let item = self.wait().take();
        // Node calls a finaliser through C, too, where a panic would abort the process.
        drop(catch_unwind(AssertUnwindSafe(|| drop(item))));
    }
}
