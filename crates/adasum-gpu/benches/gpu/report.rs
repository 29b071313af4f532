//! One line a case, for people and for programs.

use adasum_gpu::Gpu;

pub struct Line {
    pub adapter: String,
    pub kernel: &'static str,
    pub k: usize,
    pub dtype: &'static str,
    /// What must be moved at least.
    pub bytes: u64,
    /// What the kernel moves, every reading of an input counted.
    pub moved_bytes: u64,
    pub seconds: f64,
    pub copy_gbps: f64,
    pub max_relative_error: f64,
}

impl Line {
    fn gbps(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }

    pub fn json(&self) -> String {
        format!(
            r#"{{"adapter":"{}","kernel":"{}","k":{},"dtype":"{}","bytes":{},"gbps":{:.3},"copyGbps":{:.3},"ratio":{:.3},"maxRelativeError":{:.2e}}}"#,
            plain(&self.adapter),
            self.kernel,
            self.k,
            self.dtype,
            self.bytes,
            self.gbps(),
            self.copy_gbps,
            self.gbps() / self.copy_gbps,
            self.max_relative_error
        )
    }

    pub fn row(&self) -> String {
        format!(
            "{:<16} {:>2} {:<5} {:>11} {:>11} {:>10.0} {:>8.3} {:>8.3} {:>6.2} {:>9.1e}",
            self.kernel,
            self.k,
            self.dtype,
            self.bytes,
            self.moved_bytes,
            self.seconds * 1e6,
            self.gbps(),
            self.copy_gbps,
            self.gbps() / self.copy_gbps,
            self.max_relative_error
        )
    }
}

pub fn header() -> String {
    format!(
        "{:<16} {:>2} {:<5} {:>11} {:>11} {:>10} {:>8} {:>8} {:>6} {:>9}",
        "kernel", "k", "dtype", "least bytes", "moved", "us", "GB/s", "copy", "ratio", "error"
    )
}

/// What the figures depend on besides the code.
pub fn machine(gpu: &Gpu) -> String {
    let adapter = gpu.summary();
    format!(
        "{} ({}, {}, {}), arithmetic {}",
        adapter.name,
        adapter.backend,
        adapter.kind,
        adapter.driver,
        gpu.arithmetic().name()
    )
}

/// A name as it may stand in JSON.
pub fn plain(name: &str) -> String {
    name.replace(['"', '\\'], "")
}
