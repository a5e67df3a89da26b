//! The order of a batch's commands, and its answer in XML: this tells no number, so that the error of a command with a
//! number for a key is found by its place among the answers.

use std::ops::Range;

use super::answer::NOT_FOUND;
use super::edit::{Edit, splice};
use crate::protocol::answer::{Format, error_members, xml_batch, xml_code};
use crate::protocol::xml::{self, Element};

/// The commands of a batch, in the order in which they run: how an XML answer is matched with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The commands.
    pub commands: Vec<Ordered>,
}

/// A command of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Its key, without those of batches around it.
    pub key: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs, and succeeds or fails.
    Runs,
    /// It was refused: the portal has no such method.
    Refused,
    /// It is a batch itself.
    Batch(Order),
}

impl Order {
    /// Its refused commands whose keys are names, each once: all that is sure where commands may run in another order.
    pub fn of_names(mut self) -> Self {
        let is_sure = |one: &Ordered| one.fate == Fate::Refused && !is_number(&one.key);
        self.commands.retain(is_sure);
        self.commands.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.commands.dedup();
        self
    }

    /// An XML answer with other errors for the refused commands, given as key, code and description; `None` where there is
    /// nothing to replace, or it cannot be read.
    pub fn replace_refused(&self, body: &[u8], refused: &[(&str, &str, &str)]) -> Option<Vec<u8>> {
        let mut edits = Vec::new();
        let batch = Answered {
            body,
            refused,
            span: xml_batch(body)?,
        };
        batch.replace(self, "", &mut edits);
        splice(body, edits)
    }
}

/// The answer to a batch, in XML.
struct Answered<'a> {
    body: &'a [u8],
    refused: &'a [(&'a str, &'a str, &'a str)],
    /// What is inside its element.
    span: Range<usize>,
}

impl Answered<'_> {
    /// The edits that replace the errors of refused commands. `outer` are the keys of the batches around.
    fn replace(&self, order: &Order, outer: &str, edits: &mut Vec<Edit>) {
        let inside = |name: &str| {
            xml::element(self.body, self.span.clone(), name)
                .map(|element| xml::elements(self.body, element.inside).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let (results, errors) = (inside("result"), inside("result_error"));
        let is_item = |element: &&Element| self.body[element.name.clone()] == *b"item";
        let of_number = |elements: &[Element]| -> Vec<Element> {
            elements.iter().filter(is_item).cloned().collect()
        };
        let numbered: Vec<&Ordered> = order
            .commands
            .iter()
            .filter(|command| is_number(&command.key))
            .collect();
        let mut places = places(
            &numbered,
            &of_number(&results),
            &of_number(&errors),
            self.body,
            errors.len() == 1,
        )
        .into_iter();
        let named = |elements: &[Element], key: &str| {
            elements
                .iter()
                .find(|element| self.body[element.name.clone()] == *key.as_bytes())
                .cloned()
        };
        for command in &order.commands {
            let of = match &command.fate {
                Fate::Refused => &errors,
                Fate::Runs | Fate::Batch(_) => &results,
            };
            let found = if is_number(&command.key) {
                places.next().flatten()
            } else {
                named(of, &command.key)
            };
            let Some(element) = found else { continue };
            let key = [outer, &command.key].concat();
            match &command.fate {
                Fate::Refused => self.replace_error(&key, element, edits),
                Fate::Batch(order) => {
                    let inner = Answered {
                        span: element.inside,
                        ..*self
                    };
                    inner.replace(order, &[&key, "/"].concat(), edits);
                }
                Fate::Runs => {}
            }
        }
    }

    fn replace_error(&self, key: &str, element: Element, edits: &mut Vec<Edit>) {
        let told = self.refused.iter().find(|(of, ..)| *of == key);
        if let Some((_, code, description)) = told
            && xml_code(self.body, element.inside.clone()).as_deref() == Some(NOT_FOUND)
        {
            let ours = error_members(Format::Xml, code, description);
            edits.push(Edit::new(element.inside, ours));
        }
    }
}

fn is_number(key: &str) -> bool {
    key.parse::<i64>().is_ok()
}

/// For each numbered command of a batch its error if it was refused, its result if it is a batch; `None` where that is not
/// sure. A command has the next result or the next error, in their orders; of all ways to deal them out those
/// count that leave none over. An only error may have ended the batch (`may_halt`).
fn places(
    commands: &[&Ordered],
    results: &[Element],
    errors: &[Element],
    body: &[u8],
    may_halt: bool,
) -> Vec<Option<Element>> {
    let is_batch =
        |element: &Element| xml::element(body, element.inside.clone(), "result").is_some();
    let is_missing =
        |element: &Element| xml_code(body, element.inside.clone()).as_deref() == Some(NOT_FOUND);
    // Of `failed` errors among the first commands: whether the next one can fail, and can succeed.
    let fails = |at: usize, failed: usize| {
        errors
            .get(failed)
            .is_some_and(|error| match commands[at].fate {
                Fate::Refused => is_missing(error),
                Fate::Batch(_) => false,
                Fate::Runs => true,
            })
    };
    let succeeds = |at: usize, failed: usize| {
        let result = at.checked_sub(failed).and_then(|at| results.get(at));
        result.is_some_and(|result| match commands[at].fate {
            Fate::Refused => false,
            Fate::Batch(_) => is_batch(result),
            Fate::Runs => true,
        })
    };
    let (count, most) = (commands.len(), errors.len());
    // Errors behind those of the commands are of such as were too many to run.
    let is_end = |at: usize, failed: usize| {
        let all = at.checked_sub(failed) == Some(results.len());
        all && (at == count || may_halt && failed == most)
    };
    let mut leads_to_end = vec![vec![false; most + 1]; count + 1];
    for at in (0..=count).rev() {
        for failed in 0..=most.min(at) {
            leads_to_end[at][failed] = is_end(at, failed)
                || at < count
                    && (fails(at, failed) && leads_to_end[at + 1][failed + 1]
                        || succeeds(at, failed) && leads_to_end[at + 1][failed]);
        }
    }
    let mut reached = vec![false; most + 1];
    reached[0] = true;
    let mut found = Vec::with_capacity(count);
    for (at, command) in commands.iter().enumerate() {
        let mut next = vec![false; most + 1];
        let mut of_this: Vec<&Element> = Vec::new();
        for failed in (0..=most).filter(|failed| reached[*failed]) {
            if fails(at, failed) && leads_to_end[at + 1][failed + 1] {
                next[failed + 1] = true;
                if command.fate == Fate::Refused {
                    of_this.push(&errors[failed]);
                }
            }
            if succeeds(at, failed) && leads_to_end[at + 1][failed] {
                next[failed] = true;
                if matches!(command.fate, Fate::Batch(_)) {
                    of_this.push(&results[at - failed]);
                }
            }
        }
        found.push(match of_this[..] {
            [one] => Some(one.clone()),
            _ => None,
        });
        reached = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::answer::batch_errors;

    fn order(commands: &[(&str, Fate)]) -> Order {
        let ordered = |(key, fate): &(&str, Fate)| Ordered {
            key: (*key).to_owned(),
            fate: fate.clone(),
        };
        Order {
            commands: commands.iter().map(ordered).collect(),
        }
    }

    /// The errors of an XML answer as they are told now: `us` for ours.
    fn told(order: &Order, refused: &[&str], results: &str, errors: &[&str]) -> Vec<String> {
        let error = |code: &&str| format!("<item><error>{code}</error></item>");
        let body = format!(
            "<response><result><result>{results}</result><result_error>{}</result_error></result></response>",
            errors.iter().map(error).collect::<String>()
        );
        let refused: Vec<(&str, &str, &str)> =
            refused.iter().map(|key| (*key, "us", "call b")).collect();
        let replaced = order.replace_refused(body.as_bytes(), &refused);
        let body = replaced.map_or(body, |body| String::from_utf8(body).unwrap());
        batch_errors(body.as_bytes())
            .into_iter()
            .map(|error| format!("{} {}", error.key, error.code))
            .collect()
    }

    #[test]
    fn numbered_commands_are_known_by_their_order_in_xml() {
        use Fate::{Batch, Refused, Runs};
        let nf = NOT_FOUND;
        let missing = format!("item {NOT_FOUND}");
        let both = order(&[("0", Refused), ("1", Refused)]);
        // The first error ended the batch.
        assert_eq!(told(&both, &["0", "1"], "", &[nf]), ["item us"]);
        assert_eq!(
            told(&both, &["0", "1"], "", &[nf, nf]),
            ["item us", "item us"]
        );
        let second = order(&[("0", Runs), ("1", Refused)]);
        assert_eq!(
            told(&second, &["1"], "", &[nf, nf]),
            [missing.as_str(), "item us"]
        );
        assert_eq!(told(&second, &["1"], "<item>1</item>", &[nf]), ["item us"]);
        assert_eq!(
            told(&second, &["1"], "", &[nf]),
            [missing.as_str()],
            "the first ended it"
        );
        let many = order(&[("a", Runs), ("0", Runs), ("7", Refused), ("8", Runs)]);
        let two = "<a>1</a><item>1</item>";
        assert_eq!(told(&many, &["7"], two, &["X", nf]), ["item X", "item us"]);
        // Either of the two can be it.
        assert_eq!(
            told(&many, &["7"], two, &[nf, nf]),
            [missing.as_str(), missing.as_str()]
        );
        let inner = order(&[("x", Runs), ("0", Refused)]);
        let nested = order(&[("0", Batch(inner)), ("1", Runs)]);
        let answer = "<item><result><x>1</x></result><result_error><item><error>ERROR_METHOD_NOT_FOUND</error></item>\
                      </result_error></item><item>1</item>";
        assert_eq!(told(&nested, &["0/0"], answer, &[]), ["item/item us"]);
    }
}
