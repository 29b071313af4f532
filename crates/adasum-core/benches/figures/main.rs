//! Kernels beside the limits of the machine, a line a case: `npm run --silent bench:kernels -- --json`.
//!
//! Every case is measured in rounds, and in each round come, one after the other: the limits on memory of the case's
//! size, the textbook kernel, and ours. So all of them see the same state of the machine; reported are medians over the
//! rounds. `--quick` takes few rounds on small vectors, to try the program itself. Other words choose cases: kernels
//! (`gram`), where the inputs lie (`cache`), dtypes (`f32`) and numbers of inputs (`k=2`). `steps` chooses the steps of
//! optimizers ([`steps`]) and Muon's `orthogonalize` ([`matrices`]), whose rates are in operations a second.
//!
//! | field | meaning |
//! |---|---|
//! | bytes | read and written by the kernel |
//! | gbps | bytes / time / 1e9 |
//! | limitGbps | the same for the larger of two times: moving the bytes without arithmetic, doing the arithmetic without memory |
//! | ratioToTextbook | time of a scalar loop over time of the kernel |
//! | maxRelativeError | against compensated sums (gram), the exact combination before rounding (combine, adasum, sum), or loops in f64 (orthogonalize) |

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its results")]
#![expect(clippy::unwrap_used, reason = "a refusal is a mistake in the bench")]

mod cases;
mod exact;
mod limits;
mod matrices;
mod number;
mod report;
mod steps;
mod textbook;

use adasum_core::Engine;
use cases::{Case, cases};
use limits::limit_seconds;
use matrices::{MatrixCase, matrix_cases};
use steps::{RULES, StepCase, step_cases};

const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 3;
/// The name of [`matrices`] in lines and words.
const MATRIX_KERNEL: &str = "orthogonalize";

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let (is_quick, is_json) = (has("--quick"), has("--json"));
    eprintln!("{}", report::machine());
    if !is_json {
        println!("{}", report::header());
    }
    // Cargo adds a flag of its own; whatever is no flag chooses cases.
    let wanted: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    for case in cases(is_quick).into_iter().filter(|case| is_wanted(case, &wanted)) {
        for engine in Engine::available().filter(|engine| case.is_for(engine.isa())) {
            let rounds = if is_quick { QUICK_ROUNDS } else { ROUNDS };
            let line = measure(&case, engine, rounds);
            println!("{}", if is_json { line.json() } else { line.row() });
        }
    }
    for case in step_cases(is_quick).into_iter().filter(|case| is_wanted_step(case, &wanted)) {
        for engine in Engine::available().skip(1) {
            let line = measure_step(&case, engine, if is_quick { QUICK_ROUNDS } else { ROUNDS });
            println!("{}", if is_json { line.json() } else { line.row() });
        }
    }
    for case in matrix_cases(is_quick).into_iter().filter(|case| is_wanted_matrix(case, &wanted)) {
        let exact = case.exact();
        for engine in Engine::available() {
            let line = measure_matrix(&case, engine, &exact);
            println!("{}", if is_json { line.json() } else { line.row() });
        }
    }
}

/// True if each word names the case: its kernel, its dtype, or `steps`.
fn is_wanted_matrix(case: &MatrixCase, words: &[&String]) -> bool {
    words.iter().all(|word| ["steps", MATRIX_KERNEL, case.dtype.name()].contains(&word.as_str()))
}

fn measure_matrix(case: &MatrixCase, engine: Engine, exact: &[f64]) -> report::MatrixLine {
    let scalar = Engine::available().next().unwrap();
    let (mut work, mut textbook_work) = (case.prepare(engine), case.prepare(scalar));
    let [limit, textbook_seconds, seconds] =
        medians(QUICK_ROUNDS, || [case.limit(engine.isa()), textbook_work.run(), work.run()]);
    report::MatrixLine {
        kernel: MATRIX_KERNEL,
        dtype: case.dtype.name(),
        isa: engine.isa(),
        rows: case.rows,
        columns: case.columns,
        rate: case.operations() / seconds,
        limit,
        ratio_to_textbook: textbook_seconds / seconds,
        max_relative_error: work.max_relative_error(exact),
    }
}

/// True if each word names the case's rule, its dtype or where its vectors lie; `steps` means all of them.
fn is_wanted_step(case: &StepCase, words: &[&String]) -> bool {
    let names = ["steps", case.rule.name, case.dtype.name(), case.location];
    words.iter().all(|word| names.contains(&word.as_str()))
}

fn measure_step(case: &StepCase, engine: Engine, rounds: usize) -> report::Line {
    let scalar = Engine::available().next().unwrap();
    let (mut work, mut textbook_work) = (case.prepare(engine), case.prepare(scalar));
    let mut memory: Vec<u64> = (0..case.bytes() as u64 / 8).collect();
    let [limit_seconds, textbook_seconds, seconds] =
        medians(rounds, || [case.limit_seconds(&mut memory), textbook_work.run(), work.run()]);
    report::Line {
        kernel: case.rule.name,
        k: case.array_count(),
        dtype: case.dtype.name(),
        isa: engine.isa(),
        location: case.location,
        bytes: case.bytes(),
        seconds,
        limit_seconds,
        textbook_seconds,
        max_relative_error: work.max_relative_error(),
    }
}

/// True if each word that speaks of kernels, locations, dtypes or k has one among its like that fits the case.
fn is_wanted(case: &Case, words: &[&String]) -> bool {
    let fits = |own: String, all: &dyn Fn(&Case) -> String| {
        let known: Vec<_> = cases(true).iter().map(all).collect();
        let mut of_its_kind = words.iter().filter(|word| known.contains(word)).peekable();
        of_its_kind.peek().is_none() || of_its_kind.any(|word| **word == own)
    };
    let properties: [fn(&Case) -> String; 4] = [
        |case| case.kernel.name().to_owned(),
        |case| case.location.to_owned(),
        |case| case.dtype.name().to_owned(),
        |case| format!("k={}", case.k),
    ];
    let is_step = |word: &str| word == "steps" || word == MATRIX_KERNEL || RULES.iter().any(|rule| rule.name == word);
    !words.iter().any(|word| is_step(word)) && properties.iter().all(|property| fits(property(case), property))
}

fn measure(case: &Case, engine: Engine, rounds: usize) -> report::Line {
    let mut work = case.prepare(engine);
    // As much memory as the inputs have, to measure its limits on.
    let mut memory: Vec<u64> = (0..case.input_bytes() as u64 / 8).collect();
    let [limit_seconds, textbook_seconds, seconds] =
        medians(rounds, || [limit_seconds(case, &mut memory), work.textbook(), work.run()]);
    report::Line {
        kernel: case.kernel.name(),
        k: case.k,
        dtype: case.dtype.name(),
        isa: engine.isa(),
        location: case.location,
        bytes: case.bytes(),
        seconds,
        limit_seconds,
        textbook_seconds,
        max_relative_error: work.max_relative_error(),
    }
}

/// The medians of what each round measures, one after the other.
fn medians(rounds: usize, mut measure: impl FnMut() -> [f64; 3]) -> [f64; 3] {
    // The first round warms up pages and caches.
    measure();
    let times: Vec<_> = (0..rounds).map(|_| measure()).collect();
    [0, 1, 2].map(|i| median(times.iter().map(|round| round[i]).collect()))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
