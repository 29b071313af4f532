//! Why a call on a device failed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A failure, with a code that is the same in every version. After [`Error::DeviceLost`] and [`Error::Internal`] the
/// device cannot be used any more; after the others it is as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The arguments contradict each other.
    Argument(String),
    /// No adapter, or none that can do this.
    Unsupported(String),
    /// These inputs have NaN or infinity in them.
    NonFinite(Vec<usize>),
    /// The device has too little memory.
    OutOfMemory(String),
    /// The device has gone: reset, unplugged, destroyed.
    DeviceLost(String),
    /// The graphics library refused or panicked where it should not have.
    Internal(String),
}

/// A result with the crate's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The stable code under which the error reaches JavaScript.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Argument(_) => "ERR_ARGUMENT",
            Error::Unsupported(_) => "ERR_UNSUPPORTED",
            Error::NonFinite(_) => "ERR_NON_FINITE",
            Error::OutOfMemory(_) => "ERR_OUT_OF_MEMORY",
            Error::DeviceLost(_) => "ERR_DEVICE_LOST",
            Error::Internal(_) => "ERR_BINDING",
        }
    }

    /// What happened, the two numbers that disagree, and what to do.
    pub fn message(&self) -> String {
        match self {
            Error::NonFinite(slots) => {
                let names: Vec<_> = slots.iter().map(|slot| format!("slot {slot}")).collect();
                format!(
                    "{} of the inputs are not finite ({}). Leave them out, or pass onNonFinite: 'skip'.",
                    slots.len(),
                    names.join(", ")
                )
            }
            Error::Argument(message)
            | Error::Unsupported(message)
            | Error::OutOfMemory(message)
            | Error::DeviceLost(message)
            | Error::Internal(message) => message.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]: {}", self.code(), self.message())
    }
}

impl std::error::Error for Error {}

impl From<adasum_core::Error> for Error {
    fn from(error: adasum_core::Error) -> Self {
        Error::Argument(error.message().to_string())
    }
}

/// An argument error with a formatted message.
macro_rules! argument_error {
    ($($part:tt)*) => { $crate::error::Error::Argument(format!($($part)*)) };
}
pub(crate) use argument_error;

/// Calls `call`, and turns a panic of the graphics library into an error. Every public function goes through here.
pub fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| words.to_string()));
        Err(Error::Internal(format!(
            "the graphics library panicked ({}). Open the device again; if it happens again, report it with these words.",
            words.unwrap_or_else(|| "without a word".to_string())
        )))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a call that does not panic is a failure here")]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_words() {
        let number = 7;
        let literal = caught(|| -> Result<()> { panic!("in two words") }).unwrap_err();
        let formatted = caught(|| -> Result<()> { panic!("number {number}") }).unwrap_err();
        let wordless = caught(|| -> Result<()> { std::panic::panic_any(number) }).unwrap_err();
        for (error, words) in [(literal, "(in two words)"), (formatted, "(number 7)"), (wordless, "(without a word)")] {
            assert_eq!(error.code(), "ERR_BINDING");
            assert!(error.message().contains(words), "{error}");
        }
        assert_eq!(caught(|| Ok(number)), Ok(7));
    }
}
