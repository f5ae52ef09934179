//! Classic BPF, as libpcap compiles filters to it and as the kernel runs it on a socket.
//!
//! Contract: pure. A load outside of the packet, an unknown instruction, a division by zero and a program that ends without a return give 0, which drops
//! the packet. Limits: jumps lead forwards only, so a run has at most as many steps as the program has instructions; what only the kernel knows of a
//! packet (negative places) is outside of it. Source: <https://docs.kernel.org/networking/filter.html>.

/// One instruction, as the kernel reads it (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip where a condition holds.
    pub jump_true: u8,
    /// Instructions to skip where it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// The lower three bits of a code.
const LOAD: u16 = 0;
const LOAD_INDEX: u16 = 1;
const STORE: u16 = 2;
const STORE_INDEX: u16 = 3;
const ARITHMETIC: u16 = 4;
const JUMP: u16 = 5;
const RETURN: u16 = 6;
const OTHER: u16 = 7;
/// The operand is the index register.
const BY_INDEX: u16 = 0x08;
/// A return of the accumulator.
const RETURN_ACCUMULATOR: u16 = 0x16;
/// Scratch cells.
const CELLS: usize = 16;

/// What a program has at hand.
struct Machine<'a> {
    wire_len: u32,
    packet: &'a [u8],
    accumulator: u32,
    index: u32,
    cells: [u32; CELLS],
}

/// How many bytes of the packet the program keeps; 0 drops it.
pub fn run(program: &[Instruction], wire_len: u32, packet: &[u8]) -> u32 {
    let mut machine = Machine { wire_len, packet, accumulator: 0, index: 0, cells: [0; CELLS] };
    let mut rest = program;
    while let Some((instruction, behind)) = rest.split_first() {
        let Instruction { code, operand, .. } = *instruction;
        let skipped = match code & 7 {
            RETURN if code == RETURN_ACCUMULATOR => return machine.accumulator,
            RETURN => return operand,
            JUMP => machine.jump(*instruction),
            _ => machine.step(code, operand).map(|()| 0),
        };
        let Some(next) = skipped.and_then(|skipped| behind.get(skipped..)) else { return 0 };
        rest = next;
    }
    0
}

impl Machine<'_> {
    /// Instructions to skip.
    fn jump(&self, instruction: Instruction) -> Option<usize> {
        let Instruction { code, jump_true, jump_false, operand } = instruction;
        let other = if code & BY_INDEX == 0 { operand } else { self.index };
        let holds = match code & 0xf0 {
            0x00 => return usize::try_from(operand).ok(),
            0x10 => self.accumulator == other,
            0x20 => self.accumulator > other,
            0x30 => self.accumulator >= other,
            0x40 => self.accumulator & other != 0,
            _ => return None,
        };
        Some(usize::from(if holds { jump_true } else { jump_false }))
    }

    /// Everything else; `None` ends the program.
    fn step(&mut self, code: u16, operand: u32) -> Option<()> {
        match code & 7 {
            LOAD => self.accumulator = self.load(code, operand)?,
            LOAD_INDEX => self.index = self.load(code, operand)?,
            STORE => *self.cells.get_mut(operand as usize)? = self.accumulator,
            STORE_INDEX => *self.cells.get_mut(operand as usize)? = self.index,
            ARITHMETIC => self.accumulator = self.calculated(code, operand)?,
            OTHER if code == 0x07 => self.index = self.accumulator,
            OTHER if code == 0x87 => self.accumulator = self.index,
            _ => return None,
        }
        Some(())
    }

    fn load(&self, code: u16, operand: u32) -> Option<u32> {
        let width = match code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => return None,
        };
        match code & 0xe0 {
            0x00 => Some(operand),
            0x20 => self.bytes(operand, width),
            0x40 => self.bytes(self.index.checked_add(operand)?, width),
            0x60 => self.cells.get(operand as usize).copied(),
            0x80 => Some(self.wire_len),
            // The length of an IPv4 header.
            0xa0 => Some((self.bytes(operand, 1)? & 0x0f) << 2),
            _ => None,
        }
    }

    fn bytes(&self, place: u32, width: usize) -> Option<u32> {
        let bytes = self.packet.get(usize::try_from(place).ok()?..)?.get(..width)?;
        Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn calculated(&self, code: u16, operand: u32) -> Option<u32> {
        let (left, right) = (self.accumulator, if code & BY_INDEX == 0 { operand } else { self.index });
        Some(match code & 0xf0 {
            0x00 => left.wrapping_add(right),
            0x10 => left.wrapping_sub(right),
            0x20 => left.wrapping_mul(right),
            0x30 => left.checked_div(right)?,
            0x40 => left | right,
            0x50 => left & right,
            0x60 => left.checked_shl(right).unwrap_or(0),
            0x70 => left.checked_shr(right).unwrap_or(0),
            0x80 => left.wrapping_neg(),
            0x90 => left.checked_rem(right)?,
            0xa0 => left ^ right,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Instruction {
        Instruction { code, jump_true, jump_false, operand }
    }

    #[test]
    fn what_cannot_be_done_drops_the_packet() {
        let returns = instruction(0x06, 0, 0, 9);
        let dropped = [
            ("no program", vec![]),
            ("no return", vec![instruction(0x00, 0, 0, 1)]),
            ("a load behind the packet", vec![instruction(0x20, 0, 0, 2), returns]),
            ("a place that only the kernel knows", vec![instruction(0x28, 0, 0, 0xffff_f02c), returns]),
            ("an index that wraps", vec![instruction(0x01, 0, 0, u32::MAX), instruction(0x50, 0, 0, 2), returns]),
            ("a cell that is not there", vec![instruction(0x60, 0, 0, 16), returns]),
            ("a division by zero", vec![instruction(0x34, 0, 0, 0), returns]),
            ("a jump behind the end", vec![instruction(0x05, 0, 0, 5), returns]),
            ("an unknown code", vec![instruction(0xff, 0, 0, 0), returns]),
        ];
        for (what, program) in dropped {
            assert_eq!(run(&program, 100, &[1, 2, 3, 4]), 0, "{what}");
        }
        assert_eq!(run(&[instruction(0x20, 0, 0, 0), returns], 100, &[1, 2, 3, 4]), 9, "four bytes are there");
    }

    #[test]
    fn the_length_is_that_on_the_wire_and_not_what_was_kept() {
        let program = [instruction(0x80, 0, 0, 0), instruction(0x16, 0, 0, 0)];
        assert_eq!(run(&program, 1500, &[0; 60]), 1500);
    }
}
