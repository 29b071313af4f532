//! The errors of the byte-level entry points.

use std::fmt;

/// Why a call was refused. Nothing was written when one is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller's arguments contradict each other or the contract.
    Argument(String),
    /// The process's environment asks for something that this machine does not have.
    Environment(String),
}

/// A result with the crate's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The stable code under which the error reaches JavaScript.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Argument(_) => "ERR_ARGUMENT",
            Error::Environment(_) => "ERR_ENVIRONMENT",
        }
    }

    /// What happened, the two numbers that disagree, and what to do.
    pub fn message(&self) -> &str {
        match self {
            Error::Argument(message) | Error::Environment(message) => message,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]: {}", self.code(), self.message())
    }
}

impl std::error::Error for Error {}

/// An argument error with a formatted message.
macro_rules! argument_error {
    ($($part:tt)*) => { $crate::error::Error::Argument(format!($($part)*)) };
}
pub(crate) use argument_error;
