//! libpcap's compiler.
//!
//! Contract: gives the instructions for a link type, or libpcap's words. Nothing is captured for it. Limits: libpcap looks names of hosts up, and waits
//! for the answer; what it knows of live interfaces only (`inbound`, `ifindex`) it refuses.

use pcap::{BpfInstruction, Capture, Error as PcapError, Linktype};

use super::{Instruction, Program};
use crate::decode::LinkType;

/// Raw IP, as libpcap numbers it on Linux.
const DLT_RAW: i32 = 12;

/// Whether there is libpcap.
pub(super) const IS_THERE: bool = true;

/// Compiles for a link type; the error is in libpcap's words.
pub(super) fn compile(expression: &str, link: LinkType) -> Result<Program, String> {
    compiled(expression, link).map_err(|error| match error {
        PcapError::PcapError(text) => text,
        other => other.to_string(),
    })
}

fn compiled(expression: &str, link: LinkType) -> Result<Program, PcapError> {
    let number = match link {
        LinkType::RAW | LinkType::RAW_OPENBSD => DLT_RAW,
        LinkType(number) => i32::from(number),
    };
    let program = Capture::dead(Linktype(number))?.compile(expression, true)?;
    program.get_instructions().iter().map(instruction).collect()
}

/// The crate shows the fields of an instruction only as text: code, jumps, operand.
fn instruction(of: &BpfInstruction) -> Result<Instruction, PcapError> {
    let text = of.to_string();
    let mut fields = text.split_ascii_whitespace().map(str::parse::<u32>);
    let mut field = || fields.next().and_then(Result::ok);
    let read = (|| {
        let (code, jump_true, jump_false, operand) = (field()?, field()?, field()?, field()?);
        Some(Instruction {
            code: u16::try_from(code).ok()?,
            jump_true: u8::try_from(jump_true).ok()?,
            jump_false: u8::try_from(jump_false).ok()?,
            operand,
        })
    })();
    read.ok_or_else(|| PcapError::PcapError(format!("an instruction cannot be read: {text}")))
}
