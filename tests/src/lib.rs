//! Holds no code: the suites are in `tests/`.
