//! What a person writes for a field, as the value that it is compared with.
//!
//! Contract: `8080` and `"8080"` for a variable, `true` and `yes` for a switch, and one text and a list of one are the same; what can equal no value of the field is an
//! error that says what to write instead. Without it a file that looks right would differ from every container. Limits: none of its own.

use super::facets::{Field, Value};

/// Fields whose value is a set.
const SETS: [&str; 8] =
    ["capabilities", "devices", "dns_options", "extra_groups", "extra_hosts", "networks", "ports", "ulimits"];
/// Fields whose value is a number.
const NUMBERS: [&str; 3] = ["limits.memory", "limits.nano_cpus", "limits.pids"];
/// Fields that are `yes` or `no`.
const SWITCHES: [&str; 4] = ["masked_paths", "no_new_privileges", "privileged", "readonly_root"];

impl Field {
    /// The value that a person means by what stands in a file.
    pub fn written(&self, value: Value) -> Result<Value, String> {
        let name = if self.in_group().is_none() { self.name() } else { "" };
        if SETS.contains(&name) {
            return Ok(as_set(value));
        }
        if NUMBERS.contains(&name) {
            return self.as_number(value);
        }
        let text = self.as_text(value)?;
        Ok(Value::Text(match text.as_str() {
            "true" if SWITCHES.contains(&name) => "yes".to_owned(),
            "false" if SWITCHES.contains(&name) => "no".to_owned(),
            _ => text,
        }))
    }

    fn as_number(&self, value: Value) -> Result<Value, String> {
        match value {
            Value::Number(_) => Ok(value),
            Value::Text(text) if text.is_empty() => Ok(Value::UNSET),
            Value::Text(text) => text.parse().map(Value::Number).map_err(|_| {
                format!(
                    "{self} is a whole number; {text:?} is none; write bytes, processes or billionths of a processor"
                )
            }),
            Value::Set(_) => Err(format!("{self} is one number, not a list")),
        }
    }

    fn as_text(&self, value: Value) -> Result<String, String> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Set(set) if set.len() > 1 => Err(format!(
                "{self} is one text; of several words the order matters: write them in one text, a space between each"
            )),
            Value::Set(set) => Ok(set.into_iter().next().unwrap_or_default()),
        }
    }
}

fn as_set(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Set(text.split_whitespace().map(str::to_owned).collect()),
        Value::Number(number) => Value::Set([number.to_string()].into()),
        Value::Set(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Configuration;
    use crate::inventory::configuration::{Facets, SINGLE};

    fn field(path: &str) -> Field {
        Field::parse(path).expect(path)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn set(all: &[&str]) -> Value {
        Value::Set(all.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn what_looks_alike_in_a_file_is_alike() {
        let alike = [
            ("dns", set(&["10.0.0.1"]), text("10.0.0.1")),
            ("environment.PORT", Value::Number(8080), text("8080")),
            ("environment.DEBUG", text("true"), text("true")),
            ("sysctls.net.ipv4.ip_forward", Value::Number(1), text("1")),
            ("privileged", text("true"), text("yes")),
            ("limits.pids", text("100"), Value::Number(100)),
            ("ports", text("80 443"), set(&["443", "80"])),
            ("ports", Value::Number(80), set(&["80"])),
            ("user", Value::Number(1000), text("1000")),
        ];
        for (path, written, meant) in alike {
            assert_eq!(field(path).written(written.clone()), Ok(meant), "{path}: {written:?}");
        }
    }

    #[test]
    fn what_no_container_can_equal_is_an_error_that_says_what_to_write() {
        let order = field("dns").written(set(&["10.0.0.1", "10.0.0.2"])).expect_err("order");
        assert!(order.contains("dns is one text") && order.contains("a space between"), "{order}");
        assert!(field("limits.memory").written(text("1g")).is_err());
        assert!(field("limits.memory").written(set(&["1", "2"])).is_err());
        for name in SETS.iter().chain(&NUMBERS).chain(&SWITCHES) {
            assert!(SINGLE.contains(name), "{name} is no field");
        }
    }

    #[test]
    fn each_field_is_of_the_kind_that_a_configuration_has() {
        let facets = Facets::of_configuration(&Configuration::default());
        for (name, value) in SINGLE.iter().filter_map(|name| Some((name, facets.get(&field(name))?))) {
            assert_eq!(SETS.contains(name), matches!(value, Value::Set(_)), "{name}");
            assert_eq!(NUMBERS.contains(name), matches!(value, Value::Number(_)), "{name}");
        }
    }
}
