//! `hopwatch completions`, `hopwatch man`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use super::Outcome;
use crate::config;

/// Print shell completions: `hopwatch completions bash > /etc/bash_completion.d/hopwatch`
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// Shell
    shell: clap_complete::Shell,
}

/// Print the man page, or write one per subcommand and one of the configuration into a folder
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder for all pages; without it the main page goes to standard output
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn completions(args: &CompletionArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "hopwatch", &mut script);
    io::stdout().write_all(&script).context("writing to standard output")?;
    Ok(Outcome::Done)
}

pub fn man(args: &ManArgs) -> anyhow::Result<Outcome> {
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        clap_mangen::generate_to(super::command(), folder)
            .and_then(|()| std::fs::write(folder.join("hopwatch.yaml.5"), config::manual_page()))
            .with_context(|| format!("writing man pages into {}", folder.display()))?;
    } else {
        clap_mangen::Man::new(super::command()).render(&mut io::stdout()).context("writing to standard output")?;
    }
    Ok(Outcome::Done)
}
