//! Every state and every letter, by the definitions of Zeek's documentation.
