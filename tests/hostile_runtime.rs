#![cfg(feature = "shell")]
