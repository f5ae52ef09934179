//! The board with flows of two workloads.
