//! A small assembler for the kernel's packet filter: the classic BPF of the packet socket.
//!
//! Contract: pure; what [`Assembler::finish`] gives jumps forwards only and ends in a return, as the kernel demands.
//! Limits: the instructions that [`super::packet_filter`] needs. Design: conditional jumps are short (255 instructions), so a label that
//! is further away is refused instead of being cut. Source: <https://docs.kernel.org/networking/filter.html>.

pub(super) use crate::observe::filter::Instruction;

/// Load a byte, a half-word or a word from a fixed place, or from the index register plus a fixed distance.
pub(super) const LOAD_BYTE: u16 = 0x30;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_BYTE_AT_INDEX: u16 = 0x50;
pub(super) const LOAD_HALF_AT_INDEX: u16 = 0x48;
pub(super) const LOAD_WORD_AT_INDEX: u16 = 0x40;
/// The packet's length.
pub(super) const LOAD_LENGTH: u16 = 0x80;
/// The scratch cell with this number, and back.
pub(super) const LOAD_CELL: u16 = 0x60;
pub(super) const STORE_CELL: u16 = 0x02;
/// The index register: a constant, or the accumulator.
pub(super) const INDEX_CONSTANT: u16 = 0x01;
pub(super) const INDEX_ACCUMULATOR: u16 = 0x07;
pub(super) const ACCUMULATOR_INDEX: u16 = 0x87;
/// Arithmetic with the accumulator.
pub(super) const AND: u16 = 0x54;
pub(super) const SHIFT_LEFT: u16 = 0x64;
pub(super) const SHIFT_RIGHT: u16 = 0x74;
pub(super) const ADD: u16 = 0x04;
pub(super) const ADD_INDEX: u16 = 0x0c;
/// Conditions on the accumulator.
pub(super) const EQUAL: u16 = 0x15;
pub(super) const GREATER: u16 = 0x25;
pub(super) const ANY_BIT: u16 = 0x45;
/// Jump, and the end: how many bytes to keep.
pub(super) const JUMP: u16 = 0x05;
pub(super) const RETURN: u16 = 0x06;

/// A place to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Why a program cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssemblyError {
    /// A label is behind, missing, or too far away.
    #[error("the filter's instruction {at} jumps to where it cannot")]
    Jump {
        /// Which instruction.
        at: usize,
    },
    /// Of a filter that was given.
    #[error(
        "instruction {at} of the filter is none for a live interface: it may not divide by what a packet says, nor use all scratch cells"
    )]
    Instruction {
        /// Which instruction.
        at: usize,
    },
    /// More than the kernel takes.
    #[error("the filter has {0} instructions, and the kernel takes 4096")]
    TooLong(usize),
}

#[derive(Clone, Copy, Debug)]
enum Line {
    Plain(u16, u32),
    Branch { code: u16, operand: u32, yes: Label, no: Label },
    Jump(Label),
}

/// Takes instructions and labels in order.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    lines: Vec<Line>,
    /// Where each label is, once it is placed.
    places: Vec<Option<usize>>,
}

/// `BPF_MAXINSNS`.
pub(super) const LONGEST: usize = 4096;

impl Assembler {
    /// A label that is not placed yet.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The next instruction is at this label.
    pub fn place(&mut self, label: Label) {
        let here = self.lines.len();
        if let Some(place) = self.places.get_mut(label.0) {
            *place = Some(here);
        }
    }

    /// An instruction without a jump.
    pub fn op(&mut self, code: u16, operand: u32) {
        self.lines.push(Line::Plain(code, operand));
    }

    /// Jumps one way or the other.
    pub fn branch(&mut self, code: u16, operand: u32, yes: Label, no: Label) {
        self.lines.push(Line::Branch { code, operand, yes, no });
    }

    /// Jumps where the condition holds, else goes on.
    pub fn when(&mut self, code: u16, operand: u32, yes: Label) {
        let next = self.label();
        self.branch(code, operand, yes, next);
        self.place(next);
    }

    /// Jumps where the condition does not hold, else goes on.
    pub fn unless(&mut self, code: u16, operand: u32, no: Label) {
        let next = self.label();
        self.branch(code, operand, next, no);
        self.place(next);
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        self.lines.push(Line::Jump(to));
    }

    /// The program.
    pub fn finish(&self) -> Result<Vec<Instruction>, AssemblyError> {
        if self.lines.len() > LONGEST {
            return Err(AssemblyError::TooLong(self.lines.len()));
        }
        self.lines.iter().enumerate().map(|(at, line)| self.resolve(at, *line)).collect()
    }

    fn resolve(&self, at: usize, line: Line) -> Result<Instruction, AssemblyError> {
        let bad = AssemblyError::Jump { at };
        let distance = |label: Label| {
            let place = self.places.get(label.0).copied().flatten().filter(|place| *place < self.lines.len());
            place.and_then(|place| place.checked_sub(at + 1)).ok_or(bad)
        };
        let short = |label: Label| distance(label).and_then(|far| u8::try_from(far).map_err(|_| bad));
        Ok(match line {
            Line::Plain(code, operand) => Instruction { code, jump_true: 0, jump_false: 0, operand },
            Line::Branch { code, operand, yes, no } => {
                Instruction { code, jump_true: short(yes)?, jump_false: short(no)?, operand }
            }
            Line::Jump(to) => {
                let operand = u32::try_from(distance(to)?).map_err(|_| bad)?;
                Instruction { code: JUMP, jump_true: 0, jump_false: 0, operand }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::filter::run;

    #[test]
    fn branches_lead_to_their_labels() {
        let mut assembler = Assembler::default();
        let yes = assembler.label();
        assembler.op(LOAD_BYTE, 0);
        assembler.when(EQUAL, 7, yes);
        assembler.op(RETURN, 1);
        assembler.place(yes);
        assembler.op(RETURN, 2);
        let program = assembler.finish().expect("a program");
        assert_eq!([&[7][..], &[8], &[]].map(|packet| run(&program, 0, packet)), [2, 1, 0]);
    }

    #[test]
    fn a_label_that_cannot_be_reached_is_refused() {
        let refused = |build: &dyn Fn(&mut Assembler, Label)| {
            let mut assembler = Assembler::default();
            let label = assembler.label();
            build(&mut assembler, label);
            assembler.finish().expect_err("no program")
        };
        let error = AssemblyError::Jump { at: 0 };
        assert_eq!(refused(&|assembler, label| assembler.jump(label)), error, "never placed");
        let far = |assembler: &mut Assembler, label| {
            assembler.when(EQUAL, 0, label);
            (0..256).for_each(|_| assembler.op(ADD, 1));
            assembler.place(label);
            assembler.op(RETURN, 0);
        };
        assert_eq!(refused(&far), error, "further than a short jump");
        let behind = |assembler: &mut Assembler, label| {
            assembler.place(label);
            assembler.jump(label);
        };
        assert_eq!(refused(&behind), error, "backwards, and with it without an end");
        assert_eq!(refused(&|assembler, _| (0..5000).for_each(|_| assembler.op(ADD, 1))), AssemblyError::TooLong(5000));
    }
}
