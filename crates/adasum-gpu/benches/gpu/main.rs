//! The kernels on a device beside its copy bandwidth, and whole reductions beside the CPU's.
//!
//! ```sh
//! npm run --silent bench:gpu -- --json
//! ```
//!
//! A line a case. `bytes` is what a kernel must move at least: every input once, and the result once. `gbps` is that over the
//! time it took, `copyGbps` what the copy kernel reads and writes in the same run, `ratio` the one over the other. Kernels are
//! timed on the device alone, many runs in one submission; reductions from the call until the result is there. The best of
//! several rounds counts: all else that runs on the machine only adds time. `--errors` prints the table of errors of docs/gpu.md
//! instead; `--crossover` what a reduction costs before its kernels, and from which length on a device overtakes the CPU.

#![expect(clippy::print_stdout, reason = "a program that prints its results")]
#![expect(clippy::unwrap_used, reason = "a refusal is a mistake in the bench")]

mod cases;
mod cpu;
mod crossover;
mod errors;
mod report;

use adasum_gpu::{Gpu, Options};
use report::{header, machine};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let known = ["--json", "--quick", "--errors", "--crossover", "--without-subgroups"];
    if let Some(unknown) = arguments.iter().find(|argument| !known.contains(&argument.as_str())) {
        println!("{unknown} is no option; there are {}", known.join(", "));
        std::process::exit(2);
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let (is_json, is_quick) = (has("--json"), has("--quick"));
    let options = Options { without_subgroups: has("--without-subgroups"), ..Options::default() };
    let gpu = Gpu::open(&options).unwrap_or_else(|error| {
        println!("{error}");
        std::process::exit(1);
    });
    if has("--errors") {
        return errors::print(&gpu);
    }
    if has("--crossover") {
        return crossover::print(&gpu, is_json, is_quick);
    }
    if !is_json {
        println!("{}\n{}", machine(&gpu), header());
    }
    for line in cases::lines(&gpu, is_quick) {
        println!("{}", if is_json { line.json() } else { line.row() });
    }
}
