//! Answers a question with branches decoded side by side, over libanabranch:
//!
//!     anabranch_rust_host MODEL_FOLDER "question"
//!
//! The library plans each pass and samples; the model is somebody else's. The answer goes to standard output; what each
//! pass decodes, a column per branch, and what it all cost go to standard error.

mod hf_model;

use anabranch::{Cache, Decoder, DecoderOptions, Event};
use hf_model::Model;
use std::error::Error;
use std::io::Write;

const N_COLUMNS: usize = 8;

/// Prints the text of the trunk as it is, and that of the branches as one line of columns.
fn show(events: &[Event]) {
    let mut cells = vec![String::new(); N_COLUMNS];
    for event in events {
        match event {
            Event::Text { branch: 0, text, .. } => eprint!("{text}"),
            Event::Text { branch, text, .. } => cells[(branch - 1) as usize % N_COLUMNS] += text.trim_end_matches('\n'),
            _ => {}
        }
    }
    if cells.iter().any(|cell| !cell.is_empty()) {
        let line: String = cells.iter().map(|cell| format!("{cell:<11} ")).collect();
        eprintln!("{}", line.trim_end());
    }
}

fn answer(folder: &str, question: &str) -> Result<(), Box<dyn Error>> {
    let mut model = Model::open(folder)?;
    let n_vocabulary = model.n_vocabulary();
    let cache = Cache::new(256, model.max_position())?;
    let options = DecoderOptions {
        markup: "skeleton", // an outline, then all its points at once: any instruct model can do it
        n_vocabulary: n_vocabulary as i32,
        max_branch_tokens: 128,
        end_of_text: model.end_of_text(),
    };
    let mut decoder = Decoder::new(&cache, model.text(), &options)?;
    let request = decoder.submit(&model.prompt(question)?)?;
    while let Some(pass) = decoder.plan()? {
        let logits = model.forward(&pass)?; // a failure drops the pass: the next plan would repeat it
        show(&pass.commit(logits, n_vocabulary)?);
    }
    show(&decoder.events()?);
    writeln!(std::io::stdout(), "{}", decoder.text(request)?)?; // println! would panic where it cannot be written
    let cost = decoder.cost(request)?;
    eprintln!(
        "\n{} branches, {} tokens sampled in {} passes; one token a pass: {} passes",
        cost.n_branches, cost.n_sampled, cost.n_passes, cost.n_serial_passes
    );
    Ok(())
}

fn main() {
    let arguments: Vec<String> = match std::env::args_os().map(|argument| argument.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            eprintln!("error: the argument {argument:?} is no UTF-8");
            std::process::exit(2);
        }
    };
    let result = match &arguments[..] {
        [_, folder, question] => answer(folder, question),
        _ => {
            eprintln!("error: {} arguments; usage: anabranch_rust_host MODEL_FOLDER \"question\"", arguments.len() - 1);
            std::process::exit(2);
        }
    };
    if let Err(error) = result {
        eprintln!("rust_host: {error}");
        std::process::exit(1);
    }
}
