//! The view drawn into memory.
