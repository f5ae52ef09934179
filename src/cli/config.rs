//! TEMPORARY.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// x
    Check,
}
pub fn run(_: ConfigCommand) -> anyhow::Result<super::Outcome> {
    Ok(super::Outcome::Done)
}
