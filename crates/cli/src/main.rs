//! The program: its arguments, the command that they name, the exit status. Each command is a file.
#![allow(unreachable_pub, reason = "in a program `pub` is what the other modules use")]

mod arguments;
mod assets;
mod bench;
#[cfg(feature = "v4l2")]
mod cameras;
mod data;
mod device;
mod displays;
mod doctor;
mod eval;
mod exams;
mod feed;
mod igtl;
mod keyboards;
mod label;
mod model;
mod orders;
mod output;
mod quantize;
mod rehearse;
mod report;
mod run;
mod saving;
mod segment;
mod sending;
mod service;
mod sheet;
mod source;
mod stage;
mod tablet_card;
mod tablets;
#[cfg(feature = "train")]
mod train;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, DataCommand, ModelCommand};

#[cfg(feature = "train")]
#[global_allocator]
static ALLOCATOR: sonotap_lab::train::MiMalloc = sonotap_lab::train::MiMalloc;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match execute(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Where even this cannot be said, the exit status still says it.
            let _ = writeln!(std::io::stderr(), "sonotap: {}", output::message(&e));
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments say.
fn execute(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => run::demo(),
        Some(Command::Run(a)) => run::run(&a),
        Some(Command::Segment(a)) => segment::segment(&a),
        Some(Command::Label(a)) => label::label(&a),
        Some(Command::Exams(a)) => exams::exams(&a),
        Some(Command::Eval(a)) => eval::eval(&a),
        #[cfg(feature = "train")]
        Some(Command::Train(a)) => train::train(&a),
        #[cfg(feature = "train")]
        Some(Command::Distill { teacher, student, out, resume, take_up }) => {
            train::learn(&student, Some(&teacher), &out, train::opening(resume, take_up.as_deref()))
        }
        #[cfg(feature = "train")]
        Some(Command::Export { weights, dir, card, report }) => {
            train::export(&weights, &dir, card.as_deref(), report.as_deref())
        }
        Some(Command::Quantize(a)) => quantize::quantize(&a),
        Some(Command::Bench(a)) => bench::bench(&a),
        Some(Command::Data(DataCommand::Import { kind, dir, out })) => data::import_set(&kind, &dir, &out),
        Some(Command::Model(ModelCommand::Verify { dir, json })) => model::verify(&dir, json),
        Some(Command::Model(ModelCommand::Inspect { dir, json })) => model::inspect(&dir, json),
        Some(Command::Model(ModelCommand::Add { encoder, decoder, kind: _, licence, name, out })) => {
            model::add(&encoder, &decoder, licence, name, &out)
        }
        #[cfg(feature = "v4l2")]
        Some(Command::Cameras { json }) => cameras::cameras(json),
        #[cfg(feature = "kms")]
        Some(Command::Blank { config, display, text, seconds }) => {
            run::check_seconds(seconds)?;
            device::blank(&config, display.as_slice(), &text, seconds)
        }
        Some(Command::Pair { button }) => output::say(tablets::press_button(&button)?.trim_end()),
        Some(Command::Doctor { json }) => doctor::doctor(json),
    }
}
