//! What a reduction costs before any kernel runs, and from which length on a device overtakes the CPU.
//!
//! Every round measures everything once, one behind the other, and the median of the rounds counts: what disturbs the machine
//! for a while then disturbs all of them alike.

use adasum_core::dtype::Op;
use adasum_gpu::shader::{Element, GROUP_ELEMENTS};
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite};

use crate::cases::{filled, timed, vector};
use crate::cpu::OnCpu;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Vectors that are combined.
const K: usize = 4;
const ROUNDS: usize = 15;
/// Runs of a kernel in one submission, so that its start does not show.
const REPEATS: u32 = 5;

/// Seconds, medians.
struct Times {
    vector_bytes: u64,
    resident: f64,
    uploaded: f64,
    cpu: f64,
    /// Gram and combine on the device, without the host's part.
    kernels: f64,
    /// Resident, of vectors of one group: all that does not depend on the length.
    overhead: f64,
    /// An empty submission, waited for.
    empty: f64,
}

/// Vector lengths in bytes.
fn sizes(gpu: &Gpu, is_quick: bool) -> Vec<u64> {
    if is_quick {
        return vec![4 * KIB, MIB];
    }
    let largest = if gpu.summary().is_software() { 16 * MIB } else { 256 * MIB };
    (0..).map(|step| (4 * KIB) << (2 * step)).take_while(|&bytes| bytes <= largest).collect()
}

pub fn print(gpu: &Gpu, is_json: bool, is_quick: bool) {
    let all: Vec<Times> = sizes(gpu, is_quick).into_iter().map(|bytes| measure(gpu, bytes)).collect();
    let launch = all.iter().find(|times| times.vector_bytes == MIB);
    if is_json {
        launch.iter().for_each(|times| println!("{}", launch_json(gpu, times)));
        all.iter().for_each(|times| println!("{}", crossover_json(gpu, times)));
        return;
    }
    println!("{}\n", crate::report::machine(gpu));
    launch.iter().for_each(|times| println!("{}\n", launch_sentence(times)));
    println!("| bytes a vector | resident, us | uploaded, us | CPU, us | fastest |");
    println!("| -------------: | -----------: | -----------: | ------: | ------- |");
    all.iter().for_each(|times| println!("{}", row(times)));
    for (name, time_of) in [("resident", resident as fn(&Times) -> f64), ("uploaded", uploaded)] {
        println!("\n{}", overtaking(name, &all, time_of));
    }
}

fn resident(times: &Times) -> f64 {
    times.resident
}

fn uploaded(times: &Times) -> f64 {
    times.uploaded
}

fn measure(gpu: &Gpu, vector_bytes: u64) -> Times {
    let element = Element::F32;
    let length = vector_bytes / element.byte_length() as u64;
    let inputs: Vec<Vec<u8>> = (0..K).map(|slot| vector(element, length, slot as u64)).collect();
    let mut reducer = filled(gpu, element, &inputs, length).unwrap();
    let mut cpu = OnCpu::new(element, &inputs);
    let mut out = vec![0; vector_bytes as usize];
    let mut tiny = filled(gpu, element, &vec![vec![1; element.group_bytes()]; K], GROUP_ELEMENTS as u64).unwrap();
    let mut rounds: [Vec<f64>; 6] = Default::default();
    // The first one, in which pipelines are compiled and pages are touched, does not count.
    for round in 0..=ROUNDS {
        let kernels = time_kernels(&mut reducer);
        // Before the uploads, whose memory the device gives back at some later call.
        let overhead = timed(|| reduce_resident(&mut tiny));
        let empty = timed(|| tiny.finish().unwrap());
        let found = [
            timed(|| reduce_resident(&mut reducer)),
            timed(|| {
                inputs.iter().enumerate().for_each(|(slot, input)| reducer.write(slot, element, input).unwrap());
                reduce(&mut reducer);
                reducer.read(&mut out).unwrap();
            }),
            timed(|| cpu.reduce()),
            kernels,
            overhead,
            empty,
        ];
        if round > 0 {
            rounds.iter_mut().zip(found).for_each(|(times, time)| times.push(time));
        }
    }
    let [resident, uploaded, cpu, kernels, overhead, empty] = rounds.map(median);
    Times { vector_bytes, resident, uploaded, cpu, kernels, overhead, empty }
}

fn reduce_resident(reducer: &mut GpuReducer) {
    reduce(reducer);
    reducer.finish().unwrap();
}

fn reduce(reducer: &mut GpuReducer) {
    reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
}

fn time_kernels(reducer: &mut GpuReducer) -> f64 {
    reduce(reducer);
    reducer.time_gram(REPEATS).unwrap() + reducer.time_combine(REPEATS).unwrap()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn fastest(times: &Times) -> &'static str {
    let all = [("resident", times.resident), ("uploaded", times.uploaded), ("cpu", times.cpu)];
    all.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or("", |(name, _)| name)
}

fn row(times: &Times) -> String {
    format!(
        "| {:>14} | {:>12.0} | {:>12.0} | {:>7.0} | {:<7} |",
        times.vector_bytes,
        times.resident * 1e6,
        times.uploaded * 1e6,
        times.cpu * 1e6,
        fastest(times)
    )
}

fn launch_sentence(times: &Times) -> String {
    format!(
        "Launch overhead: a resident reduction of {K} vectors of 1 MiB takes {:.0} us, its kernels {:.0} us; of {K} vectors of four \
         elements {:.0} us; an empty submission {:.0} us.",
        times.resident * 1e6,
        times.kernels * 1e6,
        times.overhead * 1e6,
        times.empty * 1e6
    )
}

/// From which length on a device is faster than the CPU, and stays so.
fn overtaking(name: &str, all: &[Times], time_of: fn(&Times) -> f64) -> String {
    let slower = all.iter().rposition(|times| time_of(times) >= times.cpu);
    let first = all.get(slower.map_or(0, |last| last + 1));
    let largest = all.last().map_or(0, |times| times.vector_bytes);
    match first {
        Some(times) => format!("{name} overtakes the CPU at {} bytes a vector.", times.vector_bytes),
        None => format!("{name} does not overtake the CPU up to {largest} bytes a vector."),
    }
}

fn launch_json(gpu: &Gpu, times: &Times) -> String {
    format!(
        r#"{{"adapter":"{}","case":"launch","k":{K},"dtype":"f32","bytes":{},"reduceUs":{:.1},"kernelsUs":{:.1},"overheadUs":{:.1},"emptyUs":{:.1}}}"#,
        crate::report::plain(&gpu.summary().name),
        times.vector_bytes,
        times.resident * 1e6,
        times.kernels * 1e6,
        times.overhead * 1e6,
        times.empty * 1e6
    )
}

fn crossover_json(gpu: &Gpu, times: &Times) -> String {
    format!(
        r#"{{"adapter":"{}","case":"crossover","k":{K},"dtype":"f32","bytes":{},"residentUs":{:.1},"uploadedUs":{:.1},"cpuUs":{:.1},"fastest":"{}"}}"#,
        crate::report::plain(&gpu.summary().name),
        times.vector_bytes,
        times.resident * 1e6,
        times.uploaded * 1e6,
        times.cpu * 1e6,
        fastest(times)
    )
}
