//! wasm-bindgen's command with the options that our builds and wasm-pack call it with, over the library that the original
//! consists of. The original is compiled together with a runner of tests in browsers, which takes minutes.

use std::env::args_os;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    match run(args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = OsString>) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    let (mut input, mut out_folder) = (None, None);
    while let Some(arg) = args.next() {
        let name = arg.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--version" => {
                println!("wasm-bindgen {}", wasm_bindgen_shared::version());
                return Ok(());
            }
            "--out-dir" => out_folder = Some(PathBuf::from(value()?)),
            "--out-name" => drop(bindgen.out_name(&value()?.to_string_lossy())),
            "--target" => choose_target(&mut bindgen, &value()?.to_string_lossy())?,
            "--typescript" => drop(bindgen.typescript(true)),
            "--no-typescript" => drop(bindgen.typescript(false)),
            "--omit-default-module-path" => drop(bindgen.omit_default_module_path(true)),
            _ if name.starts_with('-') || input.is_some() => {
                return Err(format!("{name} is not known to this command"));
            }
            _ => input = Some(PathBuf::from(arg)),
        }
    }
    let input = input.ok_or("no file is named")?;
    let out_folder = out_folder.ok_or("--out-dir is missing")?;
    bindgen.input_path(input).generate(out_folder).map_err(all_causes)
}

fn choose_target(bindgen: &mut Bindgen, target: &str) -> Result<(), String> {
    match target {
        "no-modules" => bindgen.no_modules(true).map(drop).map_err(all_causes),
        _ => Err(format!("--target {target} is not known to this command; no-modules is")),
    }
}

/// The library's errors show what they were caused by in this form only.
fn all_causes(error: impl Display) -> String {
    format!("{error:#}")
}
