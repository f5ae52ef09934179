//! `hopwatch rules list|explain|navigator`, and the pages under `docs/rules/`.

mod navigator;

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;

use super::Outcome;
use crate::detect::{RuleMeta, Severity, rules};
use crate::layout::{self, columns};

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub enum RulesCommand {
    /// List all rules with severity and ATT&CK techniques
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Print a layer for the ATT&CK Navigator: which techniques which rules detect
    Navigator {
        /// The version of ATT&CK whose naming the layer uses
        #[arg(long, value_name = "VERSION", default_value = "19", value_parser = ["18", "19"])]
        attack: String,
    },
    /// Explain a rule: how it detects, what it cannot see, what to do; as Markdown
    Explain {
        /// Name of the rule, such as egress-skips-proxy
        name: String,
    },
}

const LIST_EXAMPLES: &str = "Examples:
  hopwatch rules list --technique T1562       Rules for a technique and its sub-techniques, as v18 or v19 of ATT&CK names it
  hopwatch rules list --severity high --json  As JSON, for a spreadsheet or a script";

/// Which rules to list.
#[derive(Debug, Default, clap::Args)]
pub struct ListArgs {
    /// Rules that detect this ATT&CK technique or one of its sub-techniques, such as T1562 or T1562.001
    #[arg(long, value_name = "ID", value_parser = technique_id)]
    technique: Option<String>,
    /// Rules of at least this severity by default
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Print JSON: an array with `name`, `title`, `severity`, `techniques`
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    fn wants(&self, rule: &RuleMeta) -> bool {
        let is_severe = self.severity.is_none_or(|least| rule.severity >= least);
        let is_about =
            |wanted: &String| rule.techniques.iter().any(|one| is_of(one.v19, wanted) || is_of(one.v18, wanted));
        is_severe && self.technique.as_ref().is_none_or(is_about)
    }
}

/// Whether a technique is the wanted one or a part of it.
fn is_of(technique: &str, wanted: &str) -> bool {
    technique.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `T1562`, `T1562.001`, in any case.
fn technique_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_uppercase();
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_right = id.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((whole, part)) => digits(whole, 4) && digits(part, 3),
        None => digits(rest, 4),
    });
    if is_right { Ok(id) } else { Err("write it like T1562 or T1562.001".to_owned()) }
}

/// Runs the command.
pub fn run(command: &RulesCommand) -> anyhow::Result<Outcome> {
    let text = match command {
        RulesCommand::List(args) => list(args, columns())?,
        RulesCommand::Navigator { attack } => lines(&navigator::layer(attack))?,
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

fn list(args: &ListArgs, columns: Option<usize>) -> anyhow::Result<String> {
    let wanted: Vec<_> = rules::ALL.iter().copied().filter(|rule| args.wants(rule)).collect();
    if args.json {
        return lines(&wanted.iter().map(|rule| in_json(rule)).collect::<Vec<_>>());
    }
    anyhow::ensure!(!wanted.is_empty(), "no rule is that; `hopwatch rules list` shows all");
    let row = |rule: &&RuleMeta| {
        let techniques: Vec<_> = rule.techniques.iter().map(|technique| technique.v19).collect();
        [rule.name, rule.severity.as_str(), &techniques.join(" "), rule.title].map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = wanted.iter().map(row).collect();
    Ok(layout::table(&["RULE", "SEVERITY", "ATT&CK", "WHAT IT DETECTS"], &rows, 3, columns))
}

fn in_json(rule: &RuleMeta) -> serde_json::Value {
    serde_json::json!({"name": rule.name, "title": rule.title, "severity": rule.severity, "techniques": rule.techniques})
}

/// JSON for people and programs.
fn lines(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("writing JSON")? + "\n")
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
