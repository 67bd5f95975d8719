//! Seeded tick generators and rivals that the benchmarks share.
