//! `b24-migration-proxy`: a reverse proxy in front of a Bitrix24 portal that keeps calls of deprecated REST methods
//! working, forwards everything else untouched, and records who still calls what.
//!
//! The map of the house; imports go down this list and never up. "Pure" is bytes in, values out: no I/O, no async,
//! no clock.
//!
//! - [`cli`] words in, each layer's own configuration out
//! - [`report`] what a deprecation log says as a whole (pure)
//! - [`scan`] deprecated methods in source code, before they are called
//! - [`sandbox`] a stand-in portal: a second, independent reading of the protocol
//! - [`admin`] health, readiness, metrics and the status page
//! - [`advice`] what the owner of a caller is to change, in words and calls (pure)
//! - [`proxy`] the data path
//! - [`ladder`] in which mode a rule is, for a caller at a moment (pure)
//! - [`telemetry`] what happened, said in one place
//! - [`translate`] the engine (pure)
//! - [`pace`] the portal's limit: who may call now, who waits (pure)
//! - [`catalogue`] the rules, as data (pure)
//! - [`protocol`] how a portal reads a call (pure)
//! - `columns` text in columns that fit a terminal (pure)
//! - `digits` numbers and addresses as bytes (pure)
//! - `nearest` the known name that was probably meant (pure)
//! - `places` lines and columns of a text's bytes (pure)
//! - [`memory`] what the allocator is told

pub mod admin;
pub mod advice;
pub mod catalogue;
pub mod cli;
mod columns;
mod digits;
pub mod ladder;
pub mod memory;
mod nearest;
pub mod pace;
mod places;
pub mod protocol;
pub mod proxy;
pub mod report;
pub mod sandbox;
pub mod scan;
pub mod telemetry;
pub mod translate;
