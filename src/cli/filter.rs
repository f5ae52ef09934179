//! `-f`: a filter in libpcap's language.
//!
//! Contract: what libpcap does not take is an error of usage, with its words and where it stands. Design: the same option for every command that looks at
//! packets and verifies nothing.

use crate::observe::filter::FrameFilter;

/// Which packets are looked at.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FilterArgs {
    /// Look only at packets that this filter keeps, in tcpdump's language (`tcp port 443 and not net 10.0.0.0/8`); the others are counted, and their absence proves nothing
    #[arg(short, long, value_name = "EXPRESSION", value_parser = filter)]
    filter: Option<FrameFilter>,
}

fn filter(text: &str) -> Result<FrameFilter, String> {
    FrameFilter::new(text).map_err(|error| error.to_string())
}

impl FilterArgs {
    /// The filter that was given.
    pub fn get(&self) -> Option<FrameFilter> {
        self.filter.clone()
    }
}
