//! Errors and off-thread work, which cross the border to JavaScript.

use std::panic::{AssertUnwindSafe, catch_unwind};

use adasum_core::Error;
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, JsError, Task};

/// A result whose error carries a stable code as JavaScript's `error.code`.
pub type Result<T> = napi::Result<T, &'static str>;

/// A core error as a JavaScript error.
pub fn to_js(error: Error) -> napi::Error<&'static str> {
    napi::Error::new(error.code(), error.message())
}

/// A call into the core that runs on the libuv pool and keeps its arguments alive until it has settled.
pub struct Work(Box<dyn FnMut() -> adasum_core::Result<()> + Send>);

/// Schedules a call.
pub fn work(call: impl FnMut() -> adasum_core::Result<()> + Send + 'static) -> AsyncTask<Work> {
    AsyncTask::new(Work(Box::new(call)))
}

impl Task for Work {
    type Output = adasum_core::Result<()>;
    type JsValue = ();

    fn compute(&mut self) -> napi::Result<Self::Output> {
        // Node calls this through C, where a panic would abort the process.
        catch_unwind(AssertUnwindSafe(|| (self.0)()))
            .map_err(|_| napi::Error::from_reason("a kernel panicked. Please report this with the stack above."))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> napi::Result<()> {
        // napi-rs keeps the code of an error only if that is a JavaScript value already.
        output.map_err(|error| JsError::from(to_js(error)).into_unknown(env).into())
    }
}
