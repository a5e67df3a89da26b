//! The command line: words in, each layer's own configuration out. The only place that knows clap.

pub mod failure;
mod file;
mod layers;
pub mod options;
pub mod settings;
pub mod values;

pub use file::Certificate;
