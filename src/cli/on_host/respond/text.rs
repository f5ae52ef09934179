//! Plans and responses as text, the same for the same plan, so that two can be compared by `diff`.

use super::span;
use crate::escape::printable;
use crate::layout::{columns, hang, table};
use crate::respond::{Fit, Order, Plan, Response, ResponseState, Step, Subject, Target};
use crate::time::{Timestamp, duration_text};

const INDENT: &str = "            ";

/// A plan.
pub fn plan(plan: &Plan) -> String {
    let mut text = line(
        "plan",
        &format!("{} {} for alert {} ({})", plan.action.as_str(), name(plan.target.as_ref()), plan.alert, plan.rule),
    );
    text += &line("does", plan.does);
    for danger in &plan.dangers {
        text += &line("danger", danger);
    }
    for already in &plan.already {
        text += &line("already", already);
    }
    if let Some(number) = plan.standing {
        text += &line("already", &format!("response {number} does it; see `hopwatch respond list`"));
    }
    for (number, planned) in (1..).zip(&plan.steps) {
        text += &planned.orders.iter().map(|one| order(&format!("step {number}"), one, plan)).collect::<String>();
    }
    for (number, planned) in plan.steps.iter().enumerate().rev() {
        let mut forms = planned.undo.iter();
        text += &forms.next().map(|one| order(&format!("undo {}", number + 1), one, plan)).unwrap_or_default();
        text += &forms.map(|one| order("  or", one, plan)).collect::<String>();
    }
    text += &line("lasts", &span(plan.undo_after));
    for refusal in &plan.refused {
        let lifts = if refusal.force_lifts { " (--force sets that aside)" } else { "" };
        text += &line("REFUSED", &format!("{}{lifts}", refusal.why));
    }
    if plan.refused.is_empty() && !plan.steps.is_empty() {
        text += &line("to do it", &command(plan));
    }
    text
}

fn command(plan: &Plan) -> String {
    let (alert, action) = (&plan.alert, plan.action.as_str());
    // A name that a shell would obey is left to the person.
    let is_plain = |name: &&String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let network = plan.network.as_ref().map(|name| if is_plain(&name) { name } else { "NAME" });
    let network = network.map(|name| format!(" --network {name}")).unwrap_or_default();
    let force = if plan.force { " --force" } else { "" };
    format!(
        "hopwatch respond {alert} --action {action}{network}{force} --apply --for {}",
        duration_text(plan.undo_after)
    )
}

/// An order; the body of a request is one line of JSON.
fn order(title: &str, order: &Order, plan: &Plan) -> String {
    let call = match order {
        Order::Request(call) => call,
        Order::Nft { nft } => {
            let lines = nft.lines().map(|line| format!("{INDENT}{}\n", printable(line)));
            return format!("{title:<12}nft -f -\n{}", lines.collect::<String>());
        }
    };
    let keep = call.keep.map(|file| format!(" → {file}")).unwrap_or_default();
    let mut text = format!("{title:<12}{} /{}{}{keep}\n", call.method, plan.api, printable(&call.path));
    if let Some(body) = &call.body {
        text += &format!("{INDENT}{}\n", printable(&body.to_string()));
    }
    text
}

/// Which actions there are.
pub fn fits(subject: &Subject, fits: &[Fit], standing: &[Response]) -> String {
    let accused = &subject.accused;
    let of =
        format!("{} ({}) of {}", printable(&accused.name), accused.id.get(..12).unwrap_or_default(), accused.runtime);
    let mut text = line("alert", &format!("{} ({})", subject.alert, printable(&subject.rule)));
    text += &line("container", &of);
    for response in standing.iter().filter(|response| response.intent.target.id == accused.id) {
        text += &line("in effect", &format!("{} ({})", describe(response), until(response)));
    }
    text.push('\n');
    let row = |fit: &Fit| {
        let mark = if fit.recommended { "begin here" } else { "" };
        let refused = fit.refused.as_deref().map(|why| format!("no: {}", printable(why)));
        vec![fit.action.as_str().to_owned(), mark.to_owned(), refused.unwrap_or_else(|| fit.does.to_owned())]
    };
    let rows: Vec<_> = fits.iter().map(row).collect();
    text += &table(&["ACTION", "", "WHAT IT DOES"], &rows, 2, columns());
    text += &format!(
        "\n`hopwatch respond {} --action ACTION` shows exactly what would be done, and changes nothing\n",
        subject.alert
    );
    text
}

/// What was done.
pub fn applied(response: &Response) -> String {
    let mut text = line("done", &format!("response {}: {}", response.number, describe(response)));
    text += &line("lasts", &until(response));
    text += &line("to undo it", &format!("hopwatch respond {} --undo", response.intent.alert));
    if response.intent.until.is_some() {
        text += &line(
            "",
            "the timer needs `hopwatch respond run` (hopwatch-responder.service); `hopwatch respond list` shows what is overdue",
        );
    }
    text
}

/// It was done before.
pub fn standing(response: &Response) -> String {
    line("already", &format!("response {} does that: {} ({})", response.number, describe(response), until(response)))
}

/// It is so without us.
pub fn nothing_to_do(plan: &Plan) -> String {
    plan.already.iter().map(|already| line("already", already)).collect()
}

/// What was undone.
pub fn undone(response: &Response, detail: &str) -> String {
    line("undone", &format!("response {} ({}): {detail}", response.number, response.intent.action.as_str()))
}

/// Nothing is left to undo.
pub fn nothing_stands(alert: &str, last: &str) -> String {
    line("already", &format!("nothing that was done about {alert} is in effect: {last}"))
}

/// A list of responses.
pub fn list(responses: &[&Response], all: bool) -> String {
    if responses.is_empty() {
        return if all { "nothing was ever done\n".to_owned() } else { "nothing is in effect\n".to_owned() };
    }
    let row = |response: &&Response| {
        vec![
            response.number.to_string(),
            response.state.as_str().to_owned(),
            response.intent.action.as_str().to_owned(),
            printable(&response.intent.target.name),
            response.intent.alert.clone(),
            response.at.readable(),
            response.intent.until.map(Timestamp::readable).unwrap_or_default(),
            printable(&response.intent.by),
            printable(&response.detail),
        ]
    };
    let rows: Vec<_> = responses.iter().map(row).collect();
    table(&["NUMBER", "STATE", "ACTION", "CONTAINER", "ALERT", "SINCE", "UNTIL", "BY", "WHAT"], &rows, 4, columns())
}

fn describe(response: &Response) -> String {
    let steps: Vec<_> = response.intent.steps.iter().map(Step::describe).collect();
    format!("{} is {}", name(Some(&response.intent.target)), steps.join(", "))
}

fn until(response: &Response) -> String {
    match (response.state, response.intent.until) {
        (ResponseState::Active, Some(until)) => format!("until {}", until.readable()),
        (ResponseState::Active, None) => "until somebody undoes it".to_owned(),
        (state, _) => state.as_str().to_owned(),
    }
}

fn name(target: Option<&Target>) -> String {
    target.map_or_else(
        || "nothing".to_owned(),
        |target| format!("{} ({})", target.name, target.id.get(..12).unwrap_or_default()),
    )
}

fn line(title: &str, text: &str) -> String {
    hang(&format!("{title:<12}"), INDENT, &printable(text), columns()) + "\n"
}
