//! One option's values as they were written, and where they stood.

use std::fmt;

use super::failure::Failure;
use super::options::{Spec, find};

/// Where an option's value stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Option,
    /// In the option's environment variable.
    Environment,
    /// In the configuration file, at this line and column (from 1).
    File {
        file: String,
        line: usize,
        column: usize,
    },
    /// Nowhere: the default.
    Default,
}

/// An option's values as they were written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layered {
    pub values: Vec<String>,
    pub origin: Origin,
}

impl Layered {
    /// The failure that says where the value stood and why it is wrong. It does not repeat the value.
    pub fn wrong(&self, name: &str, why: &str) -> Failure {
        Failure::usage(format!("{}: {why}", self.origin.of(name)))
    }
}

impl Origin {
    /// The option as its user wrote it there.
    pub fn of(&self, name: &str) -> String {
        match self {
            Self::Option | Self::Default => format!("--{name}"),
            Self::Environment => find(name).map_or_else(|| name.to_owned(), Spec::variable),
            Self::File { file, line, column } => format!("{file}:{line}:{column}: {name}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option => out.write_str("option"),
            Self::Environment => out.write_str("environment"),
            Self::File { file, line, column } => write!(out, "{file}:{line}:{column}"),
            Self::Default => out.write_str("default"),
        }
    }
}
