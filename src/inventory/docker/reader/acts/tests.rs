//! Events as Docker and Podman write them, and as a container's labels forge them.

use super::super::event::RuntimeEvent;
use super::*;
use crate::input::RuntimeId;
use crate::inventory::docker::api::Event;
use crate::inventory::docker::identity::Dialect;

fn event(action: &str, attributes: &str) -> Event {
    let text = format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab","Attributes":{{{attributes}}}}},"timeNano":5}}"#
    );
    serde_json::from_str(&text).expect("an event")
}

fn reported(event: &Event) -> Option<Happened> {
    match RuntimeEvent::read(event, Dialect::Docker) {
        Some(RuntimeEvent::Container { report, .. }) => report,
        _ => None,
    }
}

fn act(action: &str, attributes: &str) -> Option<ContainerAct> {
    match reported(&event(action, attributes))? {
        Happened::Act(act) => Some(act),
        Happened::Exec(_) => None,
    }
}

fn exec(action: &str, attributes: &str) -> ExecEvent {
    match reported(&event(action, attributes)).expect("it is reported") {
        Happened::Exec(exec) => exec,
        Happened::Act(act) => panic!("{act:?}"),
    }
}

#[test]
fn what_a_label_may_have_written_is_left_out() {
    let killed = act("kill", r#""signal":"1""#).expect("it is reported");
    assert_eq!(killed, ContainerAct::Killed { signal: Some(1) });
    let mut workload = Workload::new(WorkloadId::new("ab"), "web", RuntimeId::DOCKER);
    assert_eq!(believed(killed.clone(), Some(&workload)), killed);
    assert_eq!(believed(killed.clone(), None), ContainerAct::Killed { signal: None }, "its labels are not known");
    workload.labels.insert("signal".into(), "1".into());
    assert_eq!(believed(killed, Some(&workload)), ContainerAct::Killed { signal: None });
    let died = act("die", r#""exitCode":"0""#).expect("it is reported");
    assert_eq!(believed(died.clone(), Some(&workload)), died);
}

#[test]
fn an_exec_is_known_by_its_answer_only_where_both_agree() {
    let event = exec("exec_start: sh -c kill -9 1", r#""execID":"cd""#);
    assert_eq!(event.id.as_deref(), Some("cd"));
    let answer = |container: &str, arguments: &str| -> ExecInspect {
        let text = format!(
            r#"{{"ContainerID":"{container}","ProcessConfig":{{"entrypoint":"sh","arguments":{arguments},"user":"root","privileged":true,"tty":true}}}}"#
        );
        serde_json::from_str(&text).expect("an answer")
    };
    let of = |answer: Option<&ExecInspect>| command(&WorkloadId::new("ab"), &event, answer, &Vocabulary::default());
    let whole = of(Some(&answer("ab", r#"["-c","kill -9 1"]"#)));
    assert_eq!((whole.to_string().as_str(), whole.privileged, whole.terminal), ("sh -c kill -9 1", true, true));
    for forged in [answer("other", r#"["-c","kill -9 1"]"#), answer("ab", r#"["-c","true"]"#)] {
        let by_text = of(Some(&forged));
        assert_eq!((by_text.to_string().as_str(), by_text.user), ("sh -c kill -9 1", None));
    }
    assert_eq!(of(None).to_string(), "sh -c kill -9 1");
    assert!(!format!("{event:?}").contains("kill"), "a command may hold a secret");
}

#[test]
fn a_health_check_is_known_by_its_text() {
    let container = |test: &str| -> Container {
        serde_json::from_str(&format!(r#"{{"Config":{{"Healthcheck":{{"Test":{test}}}}}}}"#)).expect("an inspect")
    };
    let id = WorkloadId::new("ab");
    let mut checks = HealthChecks::default();
    checks.learn(&id, &container(r#"["CMD-SHELL","curl -f http://localhost/ || exit 1"]"#));
    let check = exec("exec_start: /bin/sh -c curl -f http://localhost/ || exit 1", "");
    assert!(checks.is_one(&id, &check));
    assert!(!checks.is_one(&id, &exec("exec_start: /bin/sh -c kill 1", "")));
    assert!(!checks.is_one(&WorkloadId::new("other"), &check));
    checks.learn(&id, &container(r#"["CMD","pg_isready","-q"]"#));
    assert!(checks.is_one(&id, &exec("exec_start: pg_isready -q", "")) && !checks.is_one(&id, &check));
    checks.learn(&id, &container(r#"["NONE"]"#));
    assert!(!checks.is_one(&id, &check));
}

#[test]
fn both_runtimes_words_are_understood() {
    assert_eq!(act("destroy", ""), act("remove", ""));
    assert_eq!(act("died", ""), Some(ContainerAct::Died { exit_code: None }));
    for ignored in ["top", "attach", "exec_create: sh", "exec_die", "health_status: healthy", ""] {
        assert_eq!(reported(&event(ignored, "")), None, "{ignored}");
    }
    assert_eq!(exec("exec", "").text, "");
    let text = r#"{"Type":"network","Action":"disconnect","Actor":{"ID":"ef","Attributes":{"container":"ab","name":"logs"}},"timeNano":5}"#;
    let network: Event = serde_json::from_str(text).expect("an event");
    let happened = reported(&network).expect("it is reported");
    assert_eq!(happened, Happened::Act(ContainerAct::Disconnected { network: "logs".into() }));
}
