//! Counts of executed instructions, and their form as a line of text.

use crate::{Class, Instruction};
use std::fmt;
use std::ops::{AddAssign, Mul, Sub};
use std::str::FromStr;

/// What a core executed of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Instructions, those that a condition skipped included.
    pub executed: u64,
    /// Words that they moved, where [`Instruction::words`] tells.
    pub words: u64,
    /// Those behind which the core went on elsewhere.
    pub taken: u64,
    /// Single loads and indexed stores right behind a single load that their address does not wait for.
    pub pipelined: u64,
}

impl Count {
    fn fields(&self) -> [u64; 4] {
        [self.executed, self.words, self.taken, self.pipelined]
    }

    fn of_fields([executed, words, taken, pipelined]: [u64; 4]) -> Self {
        Self { executed, words, taken, pipelined }
    }
}

/// A [`Count`] for each class. As text: its fields, class by class, apart by spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([Count; Class::ALL.len()]);

impl Tally {
    /// What was executed of `class`.
    pub fn of(&self, class: Class) -> Count {
        self.0[class as usize]
    }

    /// All executed instructions.
    pub fn executed(&self) -> u64 {
        self.0.iter().map(|count| count.executed).sum()
    }

    /// The classes that were executed, with their counts.
    pub fn present(&self) -> impl Iterator<Item = (Class, Count)> {
        Class::ALL.into_iter().map(|class| (class, self.of(class))).filter(|(_, count)| count.executed > 0)
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let (ours, theirs) = (self.0.map(|count| count.fields()), other.0.map(|count| count.fields()));
        let field = |class: usize, index: usize| f(ours[class][index], theirs[class][index]);
        Self(std::array::from_fn(|class| Count::of_fields(std::array::from_fn(|index| field(class, index)))))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = self.zip(other, |a, b| a + b);
    }
}

impl Sub for Tally {
    type Output = Self;

    /// What was counted since `before`, an earlier state of the same counters.
    fn sub(self, before: Self) -> Self {
        self.zip(before, |now, before| now - before)
    }
}

impl Mul<u64> for Tally {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        self.zip(Self::default(), |count, _| count * times)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.0.iter().flat_map(Count::fields);
        // There are classes.
        write!(f, "{}", fields.next().unwrap_or_default())?;
        fields.try_for_each(|field| write!(f, " {field}"))
    }
}

/// A line of text is no [`Tally`]: it was written by another version, or only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no line of counts")
    }
}

impl std::error::Error for Malformed {}

impl FromStr for Tally {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        let mut fields = line.split(' ').map(|field| field.parse::<u64>().map_err(|_| Malformed));
        let mut tally = Self::default();
        for count in &mut tally.0 {
            let mut next = || fields.next().unwrap_or(Err(Malformed));
            *count = Count::of_fields([next()?, next()?, next()?, next()?]);
        }
        if fields.next().is_some() { Err(Malformed) } else { Ok(tally) }
    }
}

/// Follows a core instruction by instruction.
#[derive(Debug, Default)]
pub struct Watcher {
    tally: Tally,
    /// The instruction before, and the address behind it.
    before: Option<(Instruction, u64)>,
}

impl Watcher {
    /// The core executes `instruction`, of so many bytes at `address`.
    pub fn execute(&mut self, instruction: &Instruction, address: u64, bytes: u64) {
        let follows_load = self.note_way(address).filter(|before| before.class == Class::Load);
        let count = &mut self.tally.0[instruction.class as usize];
        count.executed += 1;
        count.words += u64::from(instruction.words);
        if let (Some(Instruction { loaded: Some(loaded), .. }), Class::Load | Class::StoreIndexed) =
            (follows_load, instruction.class)
        {
            count.pipelined += u64::from(instruction.address & (1 << loaded) == 0);
        }
        self.before = Some((*instruction, address + bytes));
    }

    /// Notes whether the instruction before was a jump to `address`; gives it where it was not.
    fn note_way(&mut self, address: u64) -> Option<Instruction> {
        let (before, behind) = self.before?;
        let is_taken = behind != address;
        self.tally.0[before.class as usize].taken += u64::from(is_taken);
        (!is_taken).then_some(before)
    }

    /// What has been executed so far; whether the last instruction jumped is not known yet.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}
