//! One program of integration tests: a module for each folder of `src`.

mod cli;
mod docs;
mod golden;
mod ladder;
mod sandbox_http;
mod sandbox_php;
mod scan;
mod translate;
