//! One program of integration tests: a module for each folder of `src`.

mod cli;
mod golden;
mod scan;
mod translate;
