//! The choice of an instruction set, once a process.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::kernel::TABLES;
use crate::kernel::table::Table;

/// The environment variable that forces an instruction set by name.
pub const ISA_VARIABLE: &str = "ADASUM_ISA";

/// The environment variable that gives large calls more threads than the caller's own.
pub const THREADS_VARIABLE: &str = "ADASUM_THREADS";

const MOST_THREADS: usize = 64;

/// The entry points, on one instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    pub(crate) table: &'static Table,
    pub(crate) threads: usize,
}

impl Engine {
    /// The engine of this process: the fastest that the CPU can run, or the one that `ADASUM_ISA` names, on the caller's
    /// thread, or on as many as `ADASUM_THREADS` says.
    ///
    /// # Errors
    /// [`Error::Environment`] if `ADASUM_ISA` names none that this CPU can run, or `ADASUM_THREADS` is no number from 1 to 64.
    pub fn active() -> Result<Self> {
        static ACTIVE: OnceLock<Result<Engine>> = OnceLock::new();
        let choose = || {
            let threads = threads_of(std::env::var_os(THREADS_VARIABLE))?;
            Ok(Self::chosen_by(std::env::var_os(ISA_VARIABLE))?.with_threads(threads))
        };
        ACTIVE.get_or_init(choose).clone()
    }

    /// The same engine with so many threads for large calls. The bits do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.clamp(1, MOST_THREADS), ..self }
    }

    /// Engines for all instruction sets that this CPU can run, the slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        TABLES.iter().filter(|table| (table.is_available)()).map(|&table| Self { table, threads: 1 })
    }

    /// The name of the instruction set.
    pub fn isa(self) -> &'static str {
        self.table.name
    }

    /// The engine that a value of `ADASUM_ISA` chooses; without one, or with an empty one, the fastest of this CPU.
    ///
    /// # Errors
    ///
    /// `ERR_ENVIRONMENT` if this CPU has no such instruction set.
    pub fn chosen_by(variable: Option<std::ffi::OsString>) -> Result<Self> {
        let name = variable.unwrap_or_default();
        let mut fastest_first = Self::available().rev();
        // An empty variable is an unset one: shells have no other way to take a variable back for one command.
        let engine = fastest_first.find(|engine| name.is_empty() || name == engine.isa());
        engine.ok_or_else(|| {
            let names: Vec<_> = Self::available().map(Self::isa).collect();
            Error::Environment(format!(
                "{ISA_VARIABLE} is {name:?}, but this CPU can run {}. Unset it or choose one of these.",
                names.join(", ")
            ))
        })
    }
}

/// The number of threads that a value of `ADASUM_THREADS` asks for: 1 without one, or with an empty one.
///
/// # Errors
///
/// `ERR_ENVIRONMENT` unless it is a whole number from 1 to the most there may be.
pub fn threads_of(variable: Option<std::ffi::OsString>) -> Result<usize> {
    let text = variable.unwrap_or_default();
    if text.is_empty() {
        return Ok(1);
    }
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.filter(|threads| (1..=MOST_THREADS).contains(threads)).ok_or_else(|| {
        Error::Environment(format!(
            "{THREADS_VARIABLE} is {text:?}; it must be a whole number from 1 to {MOST_THREADS}. Unset it or correct it."
        ))
    })
}
