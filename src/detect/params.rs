//! The parameters of a rule.
//!
//! Contract: every rule has `enabled`, which is true by default; a key that it does not know is refused. Design: one macro writes the struct,
//! its serde and schema attributes and its `Default`, so that a rule states only what is its own.

/// Writes `Params`: attributes of the struct as `#![…]`, then `name: Type = default` for each parameter beside `enabled`.
macro_rules! rule_params {
    ($(#![$of_all:meta])* $($(#[$of_field:meta])* $field:ident: $type:ty = $default:expr,)*) => {
        /// Parameters.
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        $(#[$of_all])*
        pub struct Params {
            /// Whether the rule is on.
            pub enabled: bool,
            $($(#[$of_field])* pub $field: $type,)*
        }

        impl Default for Params {
            fn default() -> Self {
                Self { enabled: true, $($field: $default,)* }
            }
        }
    };
}

pub(super) use rule_params;
