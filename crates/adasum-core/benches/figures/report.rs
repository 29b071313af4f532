//! One line a case, for people and for programs.

use crate::limits::multiply_add_rate;

pub struct Line {
    pub kernel: &'static str,
    pub k: usize,
    pub dtype: &'static str,
    pub isa: &'static str,
    pub location: &'static str,
    pub bytes: usize,
    pub seconds: f64,
    pub limit_seconds: f64,
    pub textbook_seconds: f64,
    pub max_relative_error: f64,
}

impl Line {
    fn gbps(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }

    fn limit_gbps(&self) -> f64 {
        self.bytes as f64 / self.limit_seconds / 1e9
    }

    pub fn json(&self) -> String {
        format!(
            r#"{{"kernel":"{}","k":{},"dtype":"{}","isa":"{}","bytes":{},"gbps":{:.2},"limitGbps":{:.2},"ratioToLimit":{:.3},"ratioToTextbook":{:.2},"maxRelativeError":{:.2e}}}"#,
            self.kernel,
            self.k,
            self.dtype,
            self.isa,
            self.bytes,
            self.gbps(),
            self.limit_gbps(),
            self.limit_seconds / self.seconds,
            self.textbook_seconds / self.seconds,
            self.max_relative_error
        )
    }

    pub fn row(&self) -> String {
        format!(
            "{:<15} {:>2} {:<5} {:<7} {:<6} {:>11} {:>7.2} {:>7.2} {:>8.2} {:>9.1} {:>9.1e}",
            self.kernel,
            self.k,
            self.dtype,
            self.isa,
            self.location,
            self.bytes,
            self.gbps(),
            self.limit_gbps(),
            self.limit_seconds / self.seconds,
            self.textbook_seconds / self.seconds,
            self.max_relative_error
        )
    }
}

/// A kernel over matrices.
pub struct MatrixLine {
    pub kernel: &'static str,
    pub dtype: &'static str,
    pub isa: &'static str,
    pub rows: usize,
    pub columns: usize,
    /// Operations a second.
    pub rate: f64,
    pub limit: f64,
    pub ratio_to_textbook: f64,
    pub max_relative_error: f64,
}

impl MatrixLine {
    pub fn json(&self) -> String {
        let Self { kernel, dtype, isa, rows, columns, .. } = self;
        format!(
            r#"{{"kernel":"{kernel}","dtype":"{dtype}","isa":"{isa}","rows":{rows},"columns":{columns},"gflops":{:.2},"limitGflops":{:.2},"ratioToLimit":{:.3},"ratioToTextbook":{:.2},"maxRelativeError":{:.2e}}}"#,
            self.rate / 1e9,
            self.limit / 1e9,
            self.rate / self.limit,
            self.ratio_to_textbook,
            self.max_relative_error
        )
    }

    pub fn row(&self) -> String {
        let shape = format!("{} x {}", self.rows, self.columns);
        format!(
            "{:<18} {:<5} {:<7} {:>18} {:>7.2} {:>7.2} {:>8.2} {:>9.1} {:>9.1e}  GFLOP/s",
            self.kernel,
            self.dtype,
            self.isa,
            shape,
            self.rate / 1e9,
            self.limit / 1e9,
            self.rate / self.limit,
            self.ratio_to_textbook,
            self.max_relative_error
        )
    }
}

pub fn header() -> String {
    format!(
        "{:<15} {:>2} {:<5} {:<7} {:<6} {:>11} {:>7} {:>7} {:>8} {:>9} {:>9}",
        "kernel", "k", "dtype", "isa", "from", "bytes", "GB/s", "limit", "of limit", "x textbk", "error"
    )
}

/// What the figures depend on besides the code.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: unknown CPU");
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let chosen = pages.split(['[', ']']).nth(1).unwrap_or("unknown");
    format!(
        "{}; {:.1} G f64 multiply-adds a second; one thread; transparent huge pages: {chosen}",
        model.trim_start_matches(['\t', ' ', ':']),
        (0..15).map(|_| multiply_add_rate()).fold(0.0, f64::max) / 1e9
    )
}
