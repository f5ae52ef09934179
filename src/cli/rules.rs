//! `hopwatch rules list|explain`, and the pages under `docs/rules/`.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;

use super::Outcome;
use crate::detect::{RuleMeta, rules};
use crate::layout::{self, columns};

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub enum RulesCommand {
    /// List all rules with severity and ATT&CK techniques
    List,
    /// Explain a rule: how it detects, what it cannot see, what to do; as Markdown
    Explain {
        /// Name of the rule, such as egress-skips-proxy
        name: String,
    },
}

/// Runs the command.
pub fn run(command: &RulesCommand) -> anyhow::Result<Outcome> {
    let text = match command {
        RulesCommand::List => list(columns()),
        RulesCommand::Explain { name } => layout::markdown(&page(find(name)?), columns()),
    };
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

fn find(name: &str) -> anyhow::Result<&'static RuleMeta> {
    rules::ALL.iter().copied().find(|rule| rule.name == name).ok_or_else(|| {
        let closest = rules::ALL
            .iter()
            .map(|rule| rule.name)
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        anyhow::anyhow!(
            "there is no rule {name:?}; did you mean {}? `hopwatch rules list` shows all",
            closest.unwrap_or_default()
        )
    })
}

fn list(columns: Option<usize>) -> String {
    let row = |rule: &&RuleMeta| {
        let techniques: Vec<_> = rule.techniques.iter().map(|technique| technique.v19).collect();
        [rule.name, rule.severity.as_str(), &techniques.join(" "), rule.title].map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = rules::ALL.iter().map(row).collect();
    layout::table(&["RULE", "SEVERITY", "ATT&CK", "WHAT IT DETECTS"], &rows, 3, columns)
}

/// The rule's page, as Markdown in the order of Palantir's ADS framework.
pub fn page(rule: &RuleMeta) -> String {
    let ads = &rule.ads;
    let mut page = format!("# {}\n\n{} (severity: {})\n", rule.name, rule.title, rule.severity.as_str());
    let mut section = |title: &str, body: String| {
        let _ = write!(page, "\n## {title}\n\n{}\n", body.trim_end());
    };
    section("Goal", ads.goal.to_owned());
    section("Categorization", format!("{}\n\n{}", ads.categorization, techniques(rule)));
    section("Strategy", ads.strategy.to_owned());
    section("Technical context", ads.technical_context.to_owned());
    section("Blind spots", bullets(ads.blind_spots));
    section("Assumptions", bullets(ads.assumptions));
    section("False positives", bullets(ads.false_positives));
    section("Validation", validation(rule));
    section("Priority", ads.priority.to_owned());
    section("Response", numbered(ads.response));
    section("Resources", bullets(ads.resources));
    page
}

fn techniques(rule: &RuleMeta) -> String {
    if rule.techniques.is_empty() {
        return "Its evidence shows no technique of ATT&CK.".to_owned();
    }
    let rows = rule.techniques.iter().map(|t| format!("| {} | {} | {} |\n", t.name, t.v19, t.v18));
    let head = "| technique | ATT&CK v19 | ATT&CK v18 |\n|---|---|---|\n".to_owned();
    rows.fold(head, |all, row| all + &row)
}

fn validation(rule: &RuleMeta) -> String {
    let run = |folders: &[&str]| {
        folders.iter().map(|name| format!("- `hopwatch replay captures/{name}`\n")).collect::<String>()
    };
    format!(
        "Must raise it:\n\n{}\nMust not (the same actions, allowed):\n\n{}",
        run(rule.ads.true_positives),
        run(rule.ads.benign_twins)
    )
}

fn bullets(items: &[&str]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

fn numbered(items: &[&str]) -> String {
    items.iter().enumerate().map(|(number, item)| format!("{}. {item}\n", number + 1)).collect()
}
