//! The rules and modes that the options, the environment and the file give.

use std::sync::Arc;

use clap::ArgMatches;

use crate::catalogue::{Catalogue, Rule};
use crate::cli::failure::Failure;
use crate::cli::file::File;
use crate::cli::layers::Layers;
use crate::cli::lookalike::{self, Lookalike};
use crate::cli::paint::harmless;
use crate::cli::{policy, rule_files, values};
use crate::ladder::{Methods, Policy};
use crate::protocol::target::BATCH;

/// The rules and their modes, as options, environment and file say.
pub struct Known {
    pub catalogue: Catalogue,
    pub policy: Policy,
    pub layers: Layers,
}

impl Known {
    pub fn load(matches: &ArgMatches) -> Result<Self, Failure> {
        let config = matches
            .get_one::<String>("config")
            .filter(|path| !path.is_empty());
        let file = config.map(|path| File::read(path.as_ref())).transpose()?;
        let file = file.unwrap_or_default();
        let layers = Layers::stack(matches, file.options());
        let catalogue = rule_files::catalogue(&layers.many("rules", values::path)?)?;
        let policy = policy::build(&layers, file.modes, &catalogue, None)?;
        Ok(Self {
            catalogue,
            policy,
            layers,
        })
    }

    pub fn meant(&self, text: &str) -> Result<Vec<&Arc<Rule>>, Failure> {
        let methods = Methods::parse(text).map_err(Failure::usage)?;
        let rules: Vec<_> = self
            .catalogue
            .rules()
            .iter()
            .filter(|rule| methods.holds(&rule.method.to_ascii_lowercase()))
            .collect();
        if rules.is_empty() {
            return Err(self.not_deprecated(text));
        }
        Ok(rules)
    }

    pub fn not_deprecated(&self, method: &str) -> Failure {
        if method == BATCH {
            return Failure::found(
                "a batch is explained command by command; give the method of one, with --user for who calls".to_owned(),
            );
        }
        let shown = harmless(method);
        Failure::found(match lookalike::of(method, &self.catalogue) {
            Lookalike::SuccessorOf(methods) => format!(
                "{shown} is not deprecated: it is the successor of {}",
                methods.join(", ")
            ),
            Lookalike::Misspelt(name) => {
                format!("{shown} is not known to be deprecated; did you mean {name}?")
            }
            Lookalike::Nothing => format!("{shown} is not known to be deprecated"),
        })
    }
}
