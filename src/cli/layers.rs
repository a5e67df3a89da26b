//! Option, environment, file, default: for each option the one layer that counts, and where its value stood.

use std::collections::BTreeMap;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::failure::Failure;
use super::layered::{Layered, Origin};
use super::options::{OPTIONS, Shape, Spec};

/// What every option is set to, as text, before it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers(BTreeMap<&'static str, Layered>);

impl Layers {
    /// Puts the layers on each other: option over environment over file over default. An empty variable is no value.
    pub fn stack(matches: &ArgMatches, file: &BTreeMap<&'static str, Layered>) -> Self {
        let from = |spec: &Spec, source: ValueSource| -> Option<Vec<String>> {
            (matches.value_source(spec.name) == Some(source))
                .then(|| {
                    matches
                        .get_many::<String>(spec.name)
                        .map(|all| all.cloned().collect())
                })
                .flatten()
        };
        let layered = |spec: &'static Spec| -> Option<Layered> {
            if let Some(values) = from(spec, ValueSource::CommandLine) {
                return Some(Layered {
                    values,
                    origin: Origin::Option,
                });
            }
            if let Some(values) = from(spec, ValueSource::EnvVariable) {
                let values = split_variable(values, spec.shape);
                if !values.is_empty() {
                    return Some(Layered {
                        values,
                        origin: Origin::Environment,
                    });
                }
            }
            if let Some(found) = file.get(spec.name).cloned() {
                return Some(found);
            }
            let default = spec.default?;
            Some(Layered {
                values: vec![default.to_owned()],
                origin: Origin::Default,
            })
        };
        Self(
            OPTIONS
                .iter()
                .filter_map(|spec| Some((spec.name, layered(spec)?)))
                .collect(),
        )
    }

    /// The defaults with these options on top.
    pub fn given(options: &[(&'static str, &str)]) -> Self {
        let layered = |text: &str, origin| Layered {
            values: vec![text.to_owned()],
            origin,
        };
        let defaults = OPTIONS
            .iter()
            .filter_map(|spec| Some((spec.name, layered(spec.default?, Origin::Default))));
        let given = options
            .iter()
            .map(|(name, text)| (*name, layered(text, Origin::Option)));
        Self(defaults.chain(given).collect())
    }

    /// What this option is set to, if anything.
    pub fn get(&self, name: &str) -> Option<&Layered> {
        self.0.get(name)
    }

    /// The option's value, understood by `read`. None if it is not set and has no default.
    pub fn maybe<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(layered) = self.get(name) else {
            return Ok(None);
        };
        let text = layered
            .values
            .last()
            .map(String::as_str)
            .unwrap_or_default();
        read(text)
            .map(Some)
            .map_err(|why| layered.wrong(name, &why))
    }

    /// As [`Layers::maybe`], for an option that must be there.
    pub fn one<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.maybe(name, read)?
            .ok_or_else(|| Failure::usage(format!("--{name} is not set; give it a value")))
    }

    /// All of the option's values, each understood by `read`.
    pub fn many<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        let Some(layered) = self.get(name) else {
            return Ok(Vec::new());
        };
        layered
            .values
            .iter()
            .map(|text| read(text).map_err(|why| layered.wrong(name, &why)))
            .collect()
    }

    /// Names of the options whose values differ between two readings, in the order of their declaration.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Spec> + 'a {
        let values = |layers: &'a Self, name| layers.get(name).map(|layered| &layered.values);
        OPTIONS
            .iter()
            .filter(move |spec| values(self, spec.name) != values(other, spec.name))
    }
}

fn split_variable(values: Vec<String>, shape: Shape) -> Vec<String> {
    let part = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match shape {
        Shape::Many => values
            .iter()
            .flat_map(|value| value.split(',').filter_map(part))
            .collect(),
        Shape::One | Shape::Switch => values.iter().filter_map(|value| part(value)).collect(),
    }
}
