//! `--local`: which addresses are yours.
//!
//! Contract: given, it takes the place of `actors.local` in the configuration.

use ipnetwork::IpNetwork;

use crate::config::Config;
use crate::detect::LocalNetworks;
use crate::path::parse_range;

/// Which addresses are yours.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LocalArgs {
    /// Addresses that are yours where no runtime explains them; repeat for several [default: private, shared, link-local and unique local ones]
    #[arg(long, value_name = "CIDR", value_parser = range)]
    local: Vec<IpNetwork>,
}

fn range(text: &str) -> Result<IpNetwork, String> {
    parse_range(text).map_err(|error| error.to_string())
}

impl LocalArgs {
    /// Takes the place of what was configured, where it was given.
    pub fn apply(&self, config: &mut Config) {
        if !self.local.is_empty() {
            config.engine.local = LocalNetworks::new(self.local.clone());
        }
    }
}
