//! What a model says of texts.

use super::Report;
use crate::commands::print_json;
use crate::device::Session;
use crate::engine::{self, On, probabilities};
use crate::export::pack_for;
use crate::twin::{Reading, Twin, pieces};
use anyhow::{Result, bail};
use firmware::model::Tensor;
use serde::Serialize;
use std::io::{BufRead, IsTerminal};

/// What a model says of a text.
#[derive(Debug, Serialize)]
struct Opinion {
    input: String,
    label: String,
    /// Of the second class.
    probability: f64,
    words: u32,
    /// Words that the model does not know.
    unknown: u32,
}

/// A model somewhere, with the names of its two classes.
pub struct Model {
    name: String,
    on: On,
    output: Tensor,
    classes: Vec<String>,
    place: Place,
}

enum Place {
    Twin(Box<Twin>),
    Board(Box<Session>),
}

impl Model {
    /// Brings `container` to where `on` says.
    ///
    /// # Errors
    /// A float model: it knows tokens, not words.
    pub fn new(name: String, on: On, container: Vec<u8>, classes: Vec<String>) -> Result<Self> {
        let place = match on {
            On::Int8 => Place::Twin(Box::new(Twin::new(&container)?)),
            On::Board(board) => {
                Place::Board(Box::new(Session::open(board, &pack_for(&container, board.core.packing())?)?))
            }
            On::Float | On::Qdq => {
                bail!("{name} on {on} knows no words, only their numbers; read texts on int8 or on a board")
            }
        };
        Ok(Self { name, on, output: engine::output(&container)?, classes, place })
    }

    /// Reads each of `texts` and prints what the model says of it.
    pub fn texts(&mut self, texts: &[String], json: bool) -> Result<()> {
        let mut answers = Vec::new();
        for text in texts {
            let reading = match &mut self.place {
                Place::Twin(twin) => twin.read(text.as_bytes())?,
                Place::Board(session) => session.read_text(text.as_bytes())?,
            };
            answers.push(self.opinion(text, &reading)?);
        }
        if json {
            return print_json(&Report { model: self.name.clone(), on: self.on.to_string(), answers });
        }
        for Opinion { input, label, probability, words, unknown } in &answers {
            println!(
                "{label} ({:.1} % {}), {words} words, {unknown} unknown: {input}",
                100.0 * probability,
                self.classes[1]
            );
        }
        Ok(())
    }

    /// Reads standard input line by line and prints the probability after each word.
    pub fn lines(&mut self) -> Result<()> {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            eprintln!("write a text and end it with Enter; Ctrl-D ends");
        }
        for line in stdin.lock().split(b'\n') {
            // Any bytes are a text.
            let line = line?;
            let mut seen = Vec::new();
            let mut see = |piece: &[u8], reading: Reading| {
                seen.push((String::from_utf8_lossy(piece).trim().to_owned(), reading));
                Ok(())
            };
            match &mut self.place {
                Place::Twin(twin) => twin.read_pieces(&line, |piece, reading, _| see(piece, reading))?,
                Place::Board(session) => {
                    session.restart_text()?;
                    for piece in pieces(&line) {
                        session.push_text(piece)?;
                        see(piece, session.answer_text()?.0)?;
                    }
                }
            }
            for (word, reading) in &seen {
                let Opinion { probability, .. } = self.opinion(word, reading)?;
                println!("{} {:5.1} %  {word}", bar(probability), 100.0 * probability);
            }
            if let Some((_, reading)) = seen.last() {
                let Opinion { label, probability, words, unknown, .. } = self.opinion("", reading)?;
                println!(
                    "{label} ({:.1} % {}), {words} words, {unknown} unknown\n",
                    100.0 * probability,
                    self.classes[1]
                );
            }
        }
        Ok(())
    }

    fn opinion(&self, text: &str, reading: &Reading) -> Result<Opinion> {
        let probability = probabilities(self.output, std::slice::from_ref(reading))[0][0];
        let label = self.classes[usize::from(probability > 0.5)].clone();
        let Reading { words, unknown, .. } = *reading;
        Ok(Opinion { input: text.to_owned(), label, probability, words, unknown })
    }
}

/// A scale with a mark where `probability` lies.
fn bar(probability: f64) -> String {
    let mark = (probability * 20.0).round() as usize;
    (0..=20)
        .map(|place| {
            if place == mark {
                '●'
            } else if place == 10 {
                '┼'
            } else {
                '─'
            }
        })
        .collect()
}
