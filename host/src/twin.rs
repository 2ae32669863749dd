//! The twin: the firmware's kernels on this machine, which compute what a board computes, bit for bit.

use crate::dataset::Images;
use crate::frames::{Glance, Look, Picture, Seen, hash};
use anyhow::{Context, Result, ensure};
use firmware::camera;
use firmware::model::format::ALIGNMENT;
use firmware::model::{Element, Model};
use firmware::plan::Interpreter;
use firmware::text::{Reader, is_separator};
use firmware::vision::vote::Rule;
use firmware::vision::{self, Finder};
use rayon::prelude::*;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// A piece of a container, aligned as in flash.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(16))]
struct Block([u8; ALIGNMENT]);

const _: () = assert!(align_of::<Block>() == ALIGNMENT);

/// A container's bytes, aligned, and how many they are.
struct Aligned {
    blocks: Vec<Block>,
    length: usize,
}

impl Aligned {
    fn new(container: &[u8]) -> Self {
        let mut blocks = vec![Block::new_zeroed(); container.len().div_ceil(ALIGNMENT)];
        blocks.as_mut_bytes()[..container.len()].copy_from_slice(container);
        Self { blocks, length: container.len() }
    }

    fn bytes(&self) -> &[u8] {
        &self.blocks.as_bytes()[..self.length]
    }
}

self_cell::self_cell!(
    struct Parsed {
        owner: Aligned,
        #[covariant]
        dependent: Model,
    }
);

/// A model with memory to run in.
pub struct Twin {
    parsed: Parsed,
    arena: Vec<u32>,
    scratch: Vec<u32>,
}

impl Twin {
    /// Checks `container` as a board does and takes the memory that it asks for.
    pub fn new(container: &[u8]) -> Result<Self> {
        let parsed =
            Parsed::try_new(Aligned::new(container), |aligned| Model::parse(aligned.bytes())).map_err(refused)?;
        let model = parsed.borrow_dependent();
        let words = |bytes: usize| vec![0; bytes.div_ceil(size_of::<u32>())];
        let (arena, scratch) = (words(model.arena_bytes()), words(model.scratch_bytes()));
        Ok(Self { parsed, arena, scratch })
    }

    /// The model that it runs.
    pub fn model(&self) -> &Model<'_> {
        self.parsed.borrow_dependent()
    }

    /// Runs the model on `input` (NHWC).
    pub fn run(&mut self, input: &[i8]) -> Result<()> {
        self.run_watching(input, |_, _| Ok(()))
    }

    /// Runs the model and gives every tensor's bytes as they were when written, in the container's order; int32 is
    /// little-endian.
    pub fn trace(&mut self, input: &[i8]) -> Result<Vec<Vec<u8>>> {
        let mut tensors = vec![Vec::new(); self.model().tensor_count().into()];
        tensors[usize::from(self.model().input_index())] = input.as_bytes().to_vec();
        self.run_watching(input, |tensor, bytes| {
            tensors[usize::from(tensor)] = bytes.to_vec();
            Ok(())
        })?;
        Ok(tensors)
    }

    /// Reads a text from its start.
    pub fn read(&mut self, text: &[u8]) -> Result<Reading> {
        let model = *self.parsed.borrow_dependent();
        let mut reader = Reader::new(&model).with_context(|| format!("model {} reads no text", model.name()))?;
        let mut interpreter = Interpreter::new(model, &mut self.arena, &mut self.scratch).map_err(refused)?;
        reader.push(&mut interpreter, text).map_err(refused)?;
        reader.answer(&mut interpreter).map_err(refused)?;
        Ok(Reading { words: reader.words(), unknown: reader.unknown(), output: self.answer() })
    }

    /// Reads a text from its start and shows, after each of its [`pieces`], the answer and the interpreter that gave it.
    pub fn read_pieces(
        &mut self,
        text: &[u8],
        mut see: impl FnMut(&[u8], Reading, &Interpreter<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let model = *self.parsed.borrow_dependent();
        let output = model.output();
        let mut reader = Reader::new(&model).with_context(|| format!("model {} reads no text", model.name()))?;
        let mut interpreter = Interpreter::new(model, &mut self.arena, &mut self.scratch).map_err(refused)?;
        for piece in pieces(text) {
            reader.push(&mut interpreter, piece).map_err(refused)?;
            reader.answer(&mut interpreter).map_err(refused)?;
            let bytes = interpreter.tensor_bytes(model.output_index()).map_err(refused)?;
            let output = integers(bytes, output.element);
            let reading = Reading { words: reader.words(), unknown: reader.unknown(), output };
            see(piece, reading, &interpreter)?;
        }
        Ok(())
    }

    /// Looks for up to `most` digits in a frame and reads them.
    pub fn look(&mut self, picture: &Picture, most: u8) -> Result<Look> {
        let model = *self.parsed.borrow_dependent();
        let mut interpreter = Interpreter::new(model, &mut self.arena, &mut self.scratch).map_err(refused)?;
        let mut memory = vec![0; picture.scratch_words()];
        let readings = vision::read(&picture.frame()?, &mut Finder::new(&mut memory), &mut interpreter, most.into());
        let readings = readings.map_err(|error| anyhow::anyhow!("model {}: {error:?}", model.name()))?;
        Ok(Look { seen: readings.as_slice().iter().map(Seen::from).collect(), memory: hash(memory.as_bytes()) })
    }

    /// What a camera's reader sees in each of `times` frames that are all `picture`, and its answer after each.
    pub fn watch(&mut self, picture: &Picture, times: usize) -> Result<Vec<Glance>> {
        let model = *self.parsed.borrow_dependent();
        let mut interpreter = Interpreter::new(model, &mut self.arena, &mut self.scratch).map_err(refused)?;
        let mut memory = vec![0; picture.scratch_words()];
        let mut reader = camera::reader::Reader::new(Rule::USUAL);
        let glance = |_| {
            let answer = reader.see(&picture.frame()?, &mut Finder::new(&mut memory), &mut interpreter);
            let answer = answer.map_err(|error| anyhow::anyhow!("model {}: {error:?}", model.name()))?;
            let seen = reader.reading().map(Seen::from).into_iter().collect();
            let look = Look { seen, memory: hash(memory.as_bytes()) };
            Ok(Glance { look, answer: answer.map(|digit| digit as u8) })
        };
        (0..times).map(glance).collect()
    }

    /// Every tensor's bytes as they are now, in the container's order.
    pub fn tensors(&self) -> Vec<Vec<u8>> {
        // The parser has checked that every tensor lies inside the arena.
        self.model().tensors().map(|tensor| self.arena.as_bytes()[tensor.offset..tensor.end()].to_vec()).collect()
    }

    /// Runs the model and shows each op's output, by the tensor's index, as soon as it is written.
    fn run_watching(&mut self, input: &[i8], mut watch: impl FnMut(u16, &[u8]) -> Result<()>) -> Result<()> {
        self.steps(&[input], |_, tensor, interpreter| watch(tensor, interpreter.tensor_bytes(tensor).map_err(refused)?))
    }

    /// Runs the model once a step, on the step's input, with states that last from the first step to the last; shows, for each
    /// step and op, the interpreter that has just written the op's output, by the tensor's index.
    pub fn steps(
        &mut self,
        steps: &[impl AsRef<[i8]>],
        mut see: impl FnMut(usize, u16, &Interpreter<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let model = *self.parsed.borrow_dependent();
        let mut interpreter = Interpreter::new(model, &mut self.arena, &mut self.scratch).map_err(refused)?;
        for (step, input) in steps.iter().enumerate() {
            let (place, input) = (interpreter.input_bytes_mut(), input.as_ref().as_bytes());
            ensure!(
                place.len() == input.len(),
                "model {} takes {} values, but {} are given",
                model.name(),
                place.len(),
                input.len()
            );
            place.copy_from_slice(input);
            for op in 0..model.op_count() {
                interpreter.run_op(op).map_err(refused)?;
                see(step, model.op(op).map_err(refused)?.output, &interpreter)?;
            }
        }
        Ok(())
    }

    /// The answer of the last run: logits, or the int8 output's values.
    pub fn answer(&self) -> Vec<i32> {
        let output = self.model().output();
        // The parser has checked that every tensor lies inside the arena.
        let bytes = &self.arena.as_bytes()[output.offset..output.end()];
        integers(bytes, output.element)
    }
}

/// What a model says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Words of the text.
    pub words: u32,
    /// Those among them that the model does not know.
    pub unknown: u32,
    /// The output tensor's values.
    pub output: Vec<i32>,
}

/// A text cut behind the separators that follow each word.
pub fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunk_by(|before, behind| !is_separator(*before) || is_separator(*behind))
}

/// The answers to all of `texts`, computed on every core of this machine.
pub fn read(container: &[u8], texts: &[String]) -> Result<Vec<Reading>> {
    on_every_core(container, texts.len(), |twin, index| twin.read(texts[index].as_bytes()))
}

/// What is seen in all of `pictures`, computed on every core of this machine.
pub fn look(container: &[u8], pictures: &[Picture], most: u8) -> Result<Vec<Look>> {
    on_every_core(container, pictures.len(), |twin, index| twin.look(&pictures[index], most))
}

/// [`Twin::watch`] of each picture, on every core of this machine.
pub fn watch(container: &[u8], pictures: &[Picture], times: usize) -> Result<Vec<Vec<Glance>>> {
    on_every_core(container, pictures.len(), |twin, index| twin.watch(&pictures[index], times))
}

/// The values in a tensor's bytes, as they lie in the arena and come over the link.
pub fn integers(bytes: &[u8], element: Element) -> Vec<i32> {
    match element {
        Element::I8 => bytes.iter().map(|&byte| i32::from(byte as i8)).collect(),
        Element::I16 => bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair).into()).collect(),
        Element::I32 => bytes.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word)).collect(),
    }
}

fn refused(error: firmware::model::Error) -> anyhow::Error {
    anyhow::anyhow!("the container is refused: {error}; export the model again")
}

/// The answers to all of `images`, computed on every core of this machine.
pub fn evaluate(container: &[u8], images: &Images) -> Result<Vec<Vec<i32>>> {
    on_every_core(container, images.len(), |twin, index| {
        twin.run(&images.int8(index))?;
        Ok(twin.answer())
    })
}

/// `answer` for each of `0..count`, with a twin for each thread.
fn on_every_core<A: Send>(
    container: &[u8],
    count: usize,
    answer: impl Fn(&mut Twin, usize) -> Result<A> + Sync,
) -> Result<Vec<A>> {
    // One failure, before the work is spread.
    Twin::new(container)?;
    let with_twin = |twin: &mut Result<Twin>, index: usize| {
        let twin = twin.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        answer(twin, index)
    };
    (0..count).into_par_iter().map_init(|| Twin::new(container), with_twin).collect()
}
