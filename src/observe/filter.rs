//! `-f`: which frames are looked at, in libpcap's language.
//!
//! Contract: what a filter hides is counted and becomes a loss, so that its absence proves nothing; a frame of which too little was captured for the filter
//! to decide is hidden. Names of hosts, ports and protocols are looked up once, before anything is captured. Limits: [`LONGEST_EXPRESSION`] bytes, the
//! kernel's 4096 instructions; only a build with libpcap has it. Design: libpcap compiles the text for each link type; the kernel runs the program on live
//! interfaces, [`machine`] on frames of files, since only so `len` is the length on the wire.

#[cfg_attr(not(feature = "live"), path = "filter/without_libpcap.rs")]
mod compile;
mod hidden;
mod machine;

use std::sync::Arc;

pub use hidden::{HiddenFrames, TOLD_WITHIN, Told};
pub use machine::{Instruction, run};

use crate::decode::LinkType;

/// Of an expression.
const LONGEST_EXPRESSION: usize = 16 << 10;
/// Words up to which an expression is tried to find where it goes wrong.
const MOST_TRIED: usize = 200;

/// Why an expression is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// This build has no libpcap.
    #[error(
        "this build of hopwatch has no packet filter, since it has no libpcap: build it with its default features, or filter the capture with tcpdump"
    )]
    NoLibpcap,
    /// Nothing, or too much.
    #[error("a filter has 1 to {LONGEST_EXPRESSION} bytes, and this one {0}; leave -f out to look at everything")]
    Length(usize),
    /// libpcap does not take it.
    #[error("libpcap says: {message}{}", place(.understood.as_deref(), .rest.as_deref()))]
    Refused {
        /// Its words.
        message: String,
        /// How far it is a filter.
        understood: Option<String>,
        /// From where it is not.
        rest: Option<String>,
    },
    /// It says nothing about frames of this kind.
    #[error("the filter \"{expression}\" cannot be used on packets of link type {link}; libpcap says: {message}")]
    Link {
        /// The expression.
        expression: Arc<str>,
        /// The number of the link type.
        link: u16,
        /// libpcap's words.
        message: String,
    },
}

/// Where an expression goes wrong, for a person.
fn place(understood: Option<&str>, rest: Option<&str>) -> String {
    match (understood, rest) {
        (Some(understood), Some(rest)) => format!("; it is a filter up to \"{understood}\", so look at \"{rest}\""),
        (None, Some(rest)) => format!("; look at its beginning, \"{rest}\""),
        _ => String::new(),
    }
}

/// A filter for one link type.
pub type Program = Arc<[Instruction]>;

/// An expression that libpcap took.
#[derive(Clone, Debug)]
pub struct FrameFilter {
    expression: Arc<str>,
    /// Compiled before anything is captured: names are looked up once, and a sandbox may forbid it later.
    ethernet: Program,
    raw: Result<Program, String>,
}

impl FrameFilter {
    /// From libpcap's language (`pcap-filter(7)`).
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let expression = expression.trim();
        if !compile::IS_THERE {
            return Err(FilterError::NoLibpcap);
        }
        if expression.is_empty() || expression.len() > LONGEST_EXPRESSION {
            return Err(FilterError::Length(expression.len()));
        }
        let ethernet =
            compile::compile(expression, LinkType::ETHERNET).map_err(|message| refused(expression, message))?;
        Ok(Self { expression: expression.into(), ethernet, raw: compile::compile(expression, LinkType::RAW) })
    }

    /// What everybody who reads a run's results should know.
    pub fn warning(&self) -> String {
        format!("only what the filter \"{}\" keeps is looked at; its absence proves nothing", self.expression)
    }

    /// For packets of files of this link type.
    pub fn program(&self, link: LinkType) -> Result<Program, FilterError> {
        self.ready(link)?
            .map_or_else(|| compile::compile(&self.expression, link).map_err(|message| self.unfit(link, message)), Ok)
    }

    /// For packets of a live interface; `None` where names would have to be looked up again.
    pub fn ready(&self, link: LinkType) -> Result<Option<Program>, FilterError> {
        match link {
            LinkType::ETHERNET => Ok(Some(Arc::clone(&self.ethernet))),
            LinkType::RAW => self.raw.clone().map(Some).map_err(|message| self.unfit(link, message)),
            _ => Ok(None),
        }
    }

    fn unfit(&self, link: LinkType, message: String) -> FilterError {
        FilterError::Link { expression: Arc::clone(&self.expression), link: link.0, message }
    }

    /// Whether it asks for VLAN tags, which the kernel takes off before a live filter sees the frame.
    pub fn asks_for_tags(&self) -> bool {
        self.expression.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan")
    }
}

/// What libpcap does not take, and where it stands as far as that can be found.
fn refused(expression: &str, message: String) -> FilterError {
    // Other messages name the word.
    if !message.contains("syntax error") {
        return FilterError::Refused { message, understood: None, rest: None };
    }
    let ends = expression.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, _)| at).take(MOST_TRIED);
    let understood = ends.filter_map(|end| expression.get(..end)).filter(|start| is_a_filter(start)).last();
    let rest = expression.get(understood.map_or(0, str::len)..).unwrap_or_default().trim();
    FilterError::Refused {
        message,
        understood: understood.map(|text| text.trim().to_owned()),
        rest: Some(rest.to_owned()),
    }
}

/// The same, with the parentheses closed that are still open.
fn is_a_filter(start: &str) -> bool {
    let count = |wanted: char| start.chars().filter(|c| *c == wanted).count();
    let closed = format!("{start}{}", ")".repeat(count('(').saturating_sub(count(')'))));
    compile::compile(&closed, LinkType::ETHERNET).is_ok()
}

#[cfg(all(test, feature = "live"))]
mod tests;
