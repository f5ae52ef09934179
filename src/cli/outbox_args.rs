//! Where kept alerts are, as a command line names it.

use std::path::PathBuf;

/// Where the outbox is.
#[derive(Debug, clap::Args)]
pub struct OutboxArgs {
    /// Configuration file, which names the state directory [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of what is kept between runs [default: that of the configuration, `$STATE_DIRECTORY`, /var/lib/hopwatch for root]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}
