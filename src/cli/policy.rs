//! The modes of the rules, from the option `--mode` and the file's entries.

use std::collections::HashSet;

use jiff::Timestamp;

use super::failure::Failure;
use super::inputs;
use super::layered::Origin;
use super::layers::Layers;
use super::text::nearest;
use super::values;
use crate::catalogue::Catalogue;
use crate::ladder::{Entry, Policy, Setting};

/// In which mode each rule is, by the option `mode` and the file's entries. What stood in `previous` already keeps its
/// time and its counts.
pub fn build(
    layers: &Layers,
    entries: Vec<Entry>,
    catalogue: &Catalogue,
    previous: Option<&Policy>,
) -> Result<Policy, Failure> {
    check_names(layers, &entries)?;
    let given = layers
        .get("mode")
        .filter(|layered| layered.origin != Origin::Default);
    let modes = match given {
        None => Vec::new(),
        Some(layered) => layers
            .many("mode", values::mode)?
            .into_iter()
            .map(|setting| Setting {
                method: setting.method,
                step: setting.step,
                origin: layered.origin.of("mode"),
                by_hand: layered.origin == Origin::Option && !restarts_by_itself(),
            })
            .collect(),
    };
    Policy::build(catalogue, modes, entries, Timestamp::now(), previous)
        .map_err(|wrong| Failure::usage(wrong.to_string()))
}

/// Callers that entries name have a name: one that is misspelt would be nobody, and its entry would do nothing.
fn check_names(layers: &Layers, entries: &[Entry]) -> Result<(), Failure> {
    let named = |entry: &Entry| Some((entry.origin.clone(), entry.caller.clone()?));
    let wanted: Vec<(String, String)> = entries.iter().filter_map(named).collect();
    let Some((origin, first)) = wanted.first() else {
        return Ok(());
    };
    let Some(path) = layers.maybe("callers", values::path)? else {
        return Err(Failure::usage(format!(
            "{origin}: nothing gives the caller {first:?} its name; name a callers file with --callers"
        )));
    };
    let callers = inputs::callers(&path)?;
    let known: HashSet<&String> = callers.names().iter().collect();
    let unknown = |name: &String| !known.contains(name);
    let Some((origin, name)) = wanted.into_iter().find(|(_, name)| unknown(name)) else {
        return Ok(());
    };
    let hint = nearest(&name, callers.names().iter().map(String::as_str))
        .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    Err(Failure::usage(format!(
        "{origin}: {} names no caller {name:?}{hint}",
        path.display()
    )))
}

/// Whether something starts this process anew with the same words when it ends: a service manager that is told of its
/// state, or a container's.
fn restarts_by_itself() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some() || std::process::id() == 1
}
