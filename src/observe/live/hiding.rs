//! A filter of libpcap's, so that the kernel counts what it hides.
//!
//! Contract: pure. What the filter keeps goes on to another program; of every frame that it hides, [`HIDDEN_BYTES`] are kept, also where the frame is too
//! short for what the filter asks. Limits: programs that divide by what a packet says, or leave no scratch cell, are refused.
//! Design: the kernel drops a frame uncounted where a program loads from behind its end, so each load is preceded by a comparison with the length. A
//! conditional jump is short; where the guards make one too long, all of them jump in two steps.

use super::bpf_assembler::{
    Assembler, AssemblyError, Instruction, LOAD_CELL, LOAD_LENGTH, LONGEST, Label, RETURN, STORE_CELL,
};

/// Bytes kept of a frame that is hidden, so that it is counted: no frame that is looked at is so short.
pub(super) const HIDDEN_BYTES: u32 = 1;
/// Conditions on the accumulator and a constant, and the index register.
const NOT_LESS: u16 = 0x35;
const NOT_LESS_INDEX: u16 = 0x3d;
const SUBTRACT_INDEX: u16 = 0x1c;
/// The lower three bits of a code, and what stands in its other bits.
const CLASS: u16 = 0x07;
const BY_INDEX: u16 = 0x08;
const MODE: u16 = 0xe0;
const WIDTH: u16 = 0x18;
const OPERATION: u16 = 0xf0;
const DIVIDE: u16 = 0x30;
const REMAINDER: u16 = 0x90;
/// By the index register the kernel and libpcap differ, from 32 on.
const SHIFT_LEFT: u16 = 0x60;
const SHIFT_RIGHT: u16 = 0x70;
/// Beyond this, a place is something that only the kernel knows.
const FURTHEST: u32 = 0xffff;

/// A guarded filter, with another program behind it.
pub(super) fn before(filter: &[Instruction], then: &[Instruction]) -> Result<Vec<Instruction>, AssemblyError> {
    let guarded = |in_two_steps| Guarded::new(filter, in_two_steps)?.finish(filter);
    let mut program = match guarded(false) {
        Err(AssemblyError::Jump { .. }) => guarded(true)?,
        other => other?,
    };
    // Its last instruction is where it keeps a frame.
    program.pop();
    program.extend(then);
    if program.len() > LONGEST { Err(AssemblyError::TooLong(program.len())) } else { Ok(program) }
}

struct Guarded {
    assembler: Assembler,
    /// Where each instruction of the filter is.
    places: Vec<Label>,
    hidden: Label,
    kept: Label,
    in_two_steps: bool,
    /// A scratch cell that the filter does not use.
    spare: u32,
}

impl Guarded {
    fn new(filter: &[Instruction], in_two_steps: bool) -> Result<Self, AssemblyError> {
        let mut assembler = Assembler::default();
        let places = filter.iter().map(|_| assembler.label()).collect();
        let (hidden, kept) = (assembler.label(), assembler.label());
        let uses = |cell| filter.iter().any(|one| one.operand == cell && matches!(one.code, 0x02 | 0x03 | 0x60 | 0x61));
        let spare = (0..16).rev().find(|cell| !uses(*cell)).ok_or(AssemblyError::Instruction { at: 0 })?;
        Ok(Self { assembler, places, hidden, kept, in_two_steps, spare })
    }

    fn finish(mut self, filter: &[Instruction]) -> Result<Vec<Instruction>, AssemblyError> {
        for (at, instruction) in filter.iter().enumerate() {
            self.assembler.place(self.place(at)?);
            self.translate(at, *instruction)?;
        }
        self.assembler.place(self.hidden);
        self.assembler.op(RETURN, HIDDEN_BYTES);
        self.assembler.place(self.kept);
        self.assembler.op(RETURN, u32::MAX);
        self.assembler.finish()
    }

    fn place(&self, at: usize) -> Result<Label, AssemblyError> {
        self.places.get(at).copied().ok_or(AssemblyError::Jump { at })
    }

    fn translate(&mut self, at: usize, instruction: Instruction) -> Result<(), AssemblyError> {
        let Instruction { code, jump_true, jump_false, operand } = instruction;
        let refused = AssemblyError::Instruction { at };
        match code & CLASS {
            0 | 1 => self.load(code, operand).ok_or(refused)?,
            4 if code & BY_INDEX != 0 && matches!(code & OPERATION, DIVIDE | REMAINDER | SHIFT_LEFT | SHIFT_RIGHT) => {
                return Err(refused);
            }
            5 if code & OPERATION == 0 => {
                let to = self.place(at + 1 + usize::try_from(operand).map_err(|_| refused)?)?;
                self.assembler.jump(to);
            }
            5 => {
                let (yes, no) =
                    (self.place(at + 1 + usize::from(jump_true))?, self.place(at + 1 + usize::from(jump_false))?);
                self.branch(code, operand, yes, no);
            }
            6 if code == RETURN => self.assembler.jump(if operand == 0 { self.hidden } else { self.kept }),
            6 => return Err(refused),
            _ => self.assembler.op(code, operand),
        }
        Ok(())
    }

    /// A load, behind a look at the length where it is from the packet.
    fn load(&mut self, code: u16, operand: u32) -> Option<()> {
        let width = match code & WIDTH {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        match code & MODE {
            0x20 => {
                self.assembler.op(LOAD_LENGTH, 0);
                self.require(operand, width)?;
            }
            0x40 => {
                self.assembler.op(LOAD_LENGTH, 0);
                let next = self.assembler.label();
                self.branch(NOT_LESS_INDEX, 0, next, self.hidden);
                self.assembler.place(next);
                self.assembler.op(SUBTRACT_INDEX, 0);
                self.require(operand, width)?;
            }
            // The length of an IPv4 header goes to the index register: the accumulator must be as before.
            0xa0 => {
                self.assembler.op(STORE_CELL, self.spare);
                self.assembler.op(LOAD_LENGTH, 0);
                self.require(operand, 1)?;
                self.assembler.op(LOAD_CELL, self.spare);
            }
            _ => {}
        }
        self.assembler.op(code, operand);
        Some(())
    }

    /// The accumulator holds the bytes that are there; goes on where they reach behind what is loaded.
    fn require(&mut self, place: u32, width: u32) -> Option<()> {
        let end = (place <= FURTHEST).then_some(place + width)?;
        let next = self.assembler.label();
        self.branch(NOT_LESS, end, next, self.hidden);
        self.assembler.place(next);
        Some(())
    }

    fn branch(&mut self, code: u16, operand: u32, yes: Label, no: Label) {
        let assembler = &mut self.assembler;
        if !self.in_two_steps {
            return assembler.branch(code, operand, yes, no);
        }
        let (to_yes, to_no) = (assembler.label(), assembler.label());
        assembler.branch(code, operand, to_yes, to_no);
        assembler.place(to_yes);
        assembler.jump(yes);
        assembler.place(to_no);
        assembler.jump(no);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bpf_assembler::{EQUAL, LOAD_BYTE};
    use super::*;
    use crate::decode::LinkType;
    use crate::observe::filter::{FrameFilter, run};

    const KEPT: Instruction = Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: 160 };

    /// Frames of a host's traffic, some with one byte changed, and cut anywhere.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let ip = b"\x45\x00\x00\x3c\x00\x01\x40\x00\x40\x06\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02";
        let tcp =
            [&b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"[..], ip, b"\x9c\x40\x00\x50", &[0x50; 40]];
        let arp = [&b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x02\x08\x06"[..], &[1; 28]];
        let whole = prop_oneof![Just(tcp.concat()), Just(arp.concat())];
        (whole, any::<prop::sample::Index>(), any::<Option<u8>>(), any::<prop::sample::Index>()).prop_map(
            |(mut frame, place, byte, cut)| {
                if let Some(byte) = byte {
                    let place = place.index(frame.len());
                    frame[place] = byte;
                }
                frame.truncate(cut.index(frame.len()) + 1);
                frame
            },
        )
    }

    fn programs() -> Vec<FrameFilter> {
        let far = (1..200).map(|last| format!("host 192.0.2.{last}")).collect::<Vec<_>>().join(" or ");
        let texts = [
            "tcp port 80",
            "not tcp",
            "tcp[20:2] = 0x5050",
            "udp[50] & 1 != 0",
            "arp",
            "len > 60",
            "ip[ip[0] & 15] = 1",
            "ip6 proto 6 or icmp",
        ];
        texts.into_iter().chain([far.as_str()]).map(|text| FrameFilter::new(text).expect(text)).collect()
    }

    #[test]
    fn a_filter_decides_as_before_and_a_byte_is_left_of_what_it_hides() {
        let programs: Vec<_> =
            programs().into_iter().map(|filter| filter.program(LinkType::ETHERNET).expect("a program")).collect();
        let guarded: Vec<_> = programs.iter().map(|filter| before(filter, &[KEPT]).expect("a program")).collect();
        assert!(guarded.iter().zip(&programs).all(|(guarded, program)| guarded.len() > program.len()));
        proptest!(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() }, |(frame in frames())| {
            let length = u32::try_from(frame.len()).expect("small");
            for (filter, guarded) in programs.iter().zip(&guarded) {
                let expected = if run(filter, length, &frame) > 0 { 160 } else { HIDDEN_BYTES };
                prop_assert_eq!(run(guarded, length, &frame), expected);
            }
        });
    }

    #[test]
    fn what_the_kernel_would_drop_uncounted_is_refused() {
        let op = |code, operand| Instruction { code, jump_true: 0, jump_false: 0, operand };
        let refused = |filter: &[Instruction]| before(filter, &[KEPT]).expect_err("refused");
        let at = |at| AssemblyError::Instruction { at };
        assert_eq!(refused(&[op(LOAD_BYTE, 0), op(0x3c, 0), KEPT]), at(1), "a division by the index register");
        assert_eq!(refused(&[op(0x16, 0)]), at(0), "a return of what was loaded");
        assert_eq!(refused(&[op(0x28, 0xffff_f02c), KEPT]), at(0), "what only the kernel knows");
        assert_eq!(
            refused(&[Instruction { code: EQUAL, jump_true: 9, jump_false: 0, operand: 0 }]),
            AssemblyError::Jump { at: 10 }
        );
        assert_eq!(refused(&vec![op(0x00, 0); 5000]), AssemblyError::TooLong(5002));
    }
}
