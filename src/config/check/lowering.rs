//! Severities that are set, maintenance windows and environments, checked.
//!
//! Contract: what selects by labels alone is refused, because the one who starts a container writes them; a window ends after it begins.

use super::{Check, selectors};
use crate::alert::{Lowering, LoweringKind, SetSeverity};
use crate::config::file::{
    EnvironmentFile, EnvironmentSeverity, FileConfig, MaintenanceFile, PlacedSelector, SeverityFile,
};
use crate::config::located::Located;
use crate::config::problem::quoted;

impl Check<'_> {
    /// Severities in place of the rules' own.
    pub(super) fn severities(&mut self, file: &FileConfig) -> Vec<SetSeverity> {
        file.severities.iter().map(|set| self.severity(&set.value)).collect()
    }

    fn severity(&mut self, file: &SeverityFile) -> SetSeverity {
        self.rule(&file.rule);
        if let Some(workloads) = &file.workloads {
            self.selects_more_than_labels(workloads);
        }
        SetSeverity {
            rule: file.rule.value.clone(),
            workloads: file.workloads.as_ref().map(|workloads| selectors(&workloads.value)).unwrap_or_default(),
            severity: file.severity,
            reason: file.reason.0.clone(),
        }
    }

    /// Windows first, in the order of the file.
    pub(super) fn lowerings(&mut self, file: &FileConfig) -> Vec<Lowering> {
        let windows: Vec<_> = file.maintenance.iter().map(|window| self.maintenance(&window.value)).collect();
        let environments = file.environments.iter();
        let environments: Vec<_> =
            environments.map(|(name, environment)| self.environment(&name.value.0, &environment.value)).collect();
        self.unique(file.maintenance.iter().map(|window| &window.value.name), "maintenance window");
        windows.into_iter().chain(environments).collect()
    }

    fn maintenance(&mut self, file: &MaintenanceFile) -> Lowering {
        self.selects_more_than_labels(&file.workloads);
        let (from, until) = (file.from.value.at, file.until.value.at);
        if until <= from {
            let help = Some("a day counts to its end; write times like 2027-01-31T18:00:00Z".to_owned());
            let message = format!("the window {} ends before it begins", quoted(&file.name.value.0));
            self.report(file.until.span, message, help);
        }
        let every = file.every.as_ref().map(|every| every.get());
        if every.is_some_and(|every| every <= until.since(from)) {
            let help = Some("let it come again later, or take `until` nearer".to_owned());
            let message = format!("the window {} comes again before it has ended", quoted(&file.name.value.0));
            self.report(file.until.span, message, help);
        }
        Lowering {
            name: file.name.value.0.clone(),
            workloads: selectors(&file.workloads.value),
            kind: LoweringKind::Maintenance { from, until, every },
            reason: format!("{} ({})", file.reason.0, file.owner.0),
        }
    }

    fn environment(&mut self, name: &str, file: &EnvironmentFile) -> Lowering {
        self.selects_more_than_labels(&file.workloads);
        Lowering {
            name: name.to_owned(),
            workloads: selectors(&file.workloads.value),
            kind: match file.severity {
                EnvironmentSeverity::Lower => LoweringKind::Lower,
                EnvironmentSeverity::Observe => LoweringKind::Observe,
            },
            reason: "the configuration says that less is at stake there".to_owned(),
        }
    }

    fn selects_more_than_labels(&mut self, workloads: &Located<Vec<PlacedSelector>>) {
        if workloads.value.is_empty() && self.is_whole(workloads) {
            let help = Some("give at least one selector; name: \"*\" selects all".to_owned());
            self.report(workloads.span, "no workload is selected".to_owned(), help);
        }
        for selector in
            workloads.value.iter().filter(|selector| selector.value.is_by_labels_alone(&["com.docker.compose.project"]))
        {
            let help = "add name, image, digest or network, or the label com.docker.compose.project";
            let message = "labels alone select here, and the one who starts a container writes them".to_owned();
            self.report(selector.span, message, Some(help.to_owned()));
        }
    }
}
