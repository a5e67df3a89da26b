//! Why a call goes no further, and what its sender can do.
use crate::catalogue::{Mode, Rule};
use crate::protocol::flaw::{Flaw, Unreadable};
use jiff::Timestamp;

/// Why a call cannot be changed with certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its address is one that `urlrewrite.php` makes of another: its target is not what came.
    Address,
    /// It has several lines of `Content-Type`, and the portal's server decides which of them counts.
    ContentType,
}

/// Why a deprecated call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The portal could not read its body, and would run it without its parameters.
    Unreadable,
    /// Its body is over the limit up to which bodies are rewritten.
    TooLarge,
    /// Its body is compressed.
    Encoding,
    /// Its method is switched off for a while.
    Brownout,
    /// Its method is switched off.
    Blocked,
    /// Its use could not be logged.
    LogFailure,
}

impl Reason {
    /// The word that events and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unreadable => "unreadable",
            Reason::TooLarge => "too_large",
            Reason::Encoding => "encoding",
            Reason::Brownout => "brownout",
            Reason::Blocked => "blocked",
            Reason::LogFailure => "log_failure",
        }
    }
}

/// The code of a refusal, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidAddress,
    InvalidContentType,
    InvalidJson,
    InvalidMultipart,
    Brownout,
    Blocked,
    TooLarge,
    Encoding,
}

impl Code {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::InvalidAddress,
        Self::InvalidContentType,
        Self::InvalidJson,
        Self::InvalidMultipart,
        Self::Brownout,
        Self::Blocked,
        Self::TooLarge,
        Self::Encoding,
    ];

    /// The code as clients read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAddress => "INVALID_ADDRESS",
            Self::InvalidContentType => "INVALID_CONTENT_TYPE",
            Self::InvalidJson => "INVALID_JSON",
            Self::InvalidMultipart => "INVALID_MULTIPART",
            Self::Brownout => "DEPRECATED_METHOD_BROWNOUT",
            Self::Blocked => "DEPRECATED_METHOD_BLOCKED",
            Self::TooLarge => "REQUEST_TOO_LARGE",
            Self::Encoding => "UNSUPPORTED_CONTENT_ENCODING",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidAddress
            | Self::InvalidContentType
            | Self::InvalidJson
            | Self::InvalidMultipart => 400,
            Self::Brownout | Self::Blocked => 410,
            Self::TooLarge => 413,
            Self::Encoding => 415,
        }
    }
}

/// The answer to a call that goes no further. Nothing of it was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's code, for programs.
    pub code: Code,
    /// What is wrong, that nothing was executed, and what to do.
    pub description: String,
    /// Why, as events and metrics say it.
    pub reason: Reason,
}

impl Refusal {
    /// The body of a call cannot be read.
    pub(super) fn unreadable(rule: &Rule, why: Unreadable) -> Self {
        let method = &rule.method;
        let (code, right) = match why.fault {
            Flaw::LongLine => (Code::InvalidMultipart, "shorter lines"),
            _ => (Code::InvalidJson, "valid JSON"),
        };
        Self {
            code,
            description: format!(
                "The body of {method} {why}. Nothing was executed: send {right}, or call {}.",
                successor(rule)
            ),
            reason: Reason::Unreadable,
        }
    }

    /// A call, or a batch where there is no rule, cannot be changed with certainty.
    pub(super) fn doubtful(rule: Option<&Rule>, doubt: Doubt) -> Self {
        let what = rule.map_or("batch", |rule| rule.method.as_str());
        let (code, why, right) = match doubt {
            Doubt::Address => (
                Code::InvalidAddress,
                "is called by an address that cannot be translated",
                "call it by its name below /rest/",
            ),
            Doubt::ContentType => (
                Code::InvalidContentType,
                "has several Content-Type fields, and portals differ in which of them they read the body by",
                "send one",
            ),
        };
        let instead =
            rule.map_or_else(String::new, |rule| format!(", or call {}", successor(rule)));
        Self {
            code,
            description: format!("{what} {why}. Nothing was executed: {right}{instead}."),
            reason: Reason::Unreadable,
        }
    }

    /// The body of a call is compressed.
    pub(super) fn encoded(rule: &Rule) -> Self {
        let method = &rule.method;
        Self {
            code: Code::Encoding,
            description: format!(
                "The body of {method} has a Content-Encoding, which a portal does not read. Nothing was executed: \
                 send the body as it is, or call {}.",
                successor(rule)
            ),
            reason: Reason::Encoding,
        }
    }

    /// The body of a call, or of a batch where there is no rule, is over the limit.
    pub(super) fn too_large(rule: Option<&Rule>, limit: usize) -> Self {
        let (what, instead) = match rule {
            Some(rule) => (rule.method.as_str(), format!("or call {}", successor(rule))),
            None => ("the call", "or send fewer commands at once".to_owned()),
        };
        Self {
            code: Code::TooLarge,
            description: format!(
                "The body of {what} is larger than {limit} bytes, up to which bodies are read here. Nothing was \
                 executed: send less, {instead}."
            ),
            reason: Reason::TooLarge,
        }
    }

    /// There are so many parameters that the successor's would not be read.
    pub(super) fn too_many(rule: &Rule) -> Self {
        let method = &rule.method;
        Self {
            code: Code::TooLarge,
            description: format!(
                "{method} has as many parameters as a portal reads, so that none can be added. Nothing was executed: \
                 send fewer, or call {}.",
                successor(rule)
            ),
            reason: Reason::TooLarge,
        }
    }

    /// A batch has more deprecated commands than are carried out.
    pub(super) fn too_many_commands(most: usize) -> Self {
        Self {
            code: Code::TooLarge,
            description: format!(
                "The batch has more than {most} commands of deprecated methods, counting those of batches inside it. \
                 Nothing was executed: send fewer commands at once."
            ),
            reason: Reason::TooLarge,
        }
    }

    /// The method is switched off, for a while or for good; `None` where it is not. `until` is when that ends by itself,
    /// where it does and is known.
    pub fn switched_off(rule: &Rule, mode: Mode, until: Option<Timestamp>) -> Option<Self> {
        let (code, how_long, reason) = match mode {
            Mode::Brownout => (Code::Brownout, "for a while", Reason::Brownout),
            Mode::Block => (Code::Blocked, "for good", Reason::Blocked),
            Mode::Observe | Mode::Compare | Mode::Rewrite => return None,
        };
        let how_long =
            until.map_or_else(|| how_long.to_owned(), |until| format!("until {until:.0}"));
        let sunset = rule.sunset.as_ref().filter(|_| mode == Mode::Brownout);
        let sunset = sunset
            .map(|date| format!(" It stops working for good on {date}."))
            .unwrap_or_default();
        let description = format!(
            "{} is deprecated and switched off {how_long}.{sunset} Nothing was executed{}.",
            rule.method,
            instead(rule)
        );
        Some(Self {
            code,
            description,
            reason,
        })
    }
}

/// The method to call instead, in words.
fn successor(rule: &Rule) -> &str {
    rule.replacement
        .as_deref()
        .unwrap_or("what the documentation names in its place")
}

/// Says what to call instead, as the end of a sentence, with the pages that tell more.
fn instead(rule: &Rule) -> String {
    let pages = |pages: [Option<String>; 2]| {
        let pages: Vec<String> = pages.into_iter().flatten().collect();
        match pages.is_empty() {
            true => String::new(),
            false => format!(" ({})", pages.join(", ")),
        }
    };
    let page = rule.documentation_url();
    let Some(entry) = rule.migration() else {
        return format!(": call {}{}", successor(rule), pages([page, None]));
    };
    if entry.successor.is_empty() {
        let read = pages([entry.page_url(), entry.legacy_page_url()]);
        return format!(", and no method takes its place{read}");
    }
    let read = match entry.equal {
        true => pages([entry.page_url(), None]),
        false => pages([entry.page_url(), entry.legacy_page_url()]),
    };
    format!(
        ": call {}{}{read}",
        entry.successor.join(" or "),
        entry.in_short()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn said(method: &str) -> String {
        let catalogue = Catalogue::builtin();
        let rule = catalogue.find_in_any_case(method.as_bytes()).expect(method);
        let refusal = Refusal::switched_off(rule, Mode::Block, None).expect("a refusal");
        refusal
            .description
            .replace("https://apidocs.bitrix24.com/api-reference/", "…/")
    }

    #[test]
    fn a_switched_off_method_names_the_call_that_takes_its_place() {
        assert_eq!(
            said("crm.deal.details.configuration.get"),
            "crm.deal.details.configuration.get is deprecated and switched off for good. Nothing was executed: call \
             crm.item.details.configuration.get with entityTypeId=2 \
             (…/crm/universal/item-details-configuration/crm-item-details-configuration-get.html)."
        );
        assert_eq!(
            said("crm.measure.list"),
            "crm.measure.list is deprecated and switched off for good. Nothing was executed: call catalog.measure.list; \
             it needs the scope catalog; other parameters and the answer differ \
             (…/catalog/measure/catalog-measure-list.html, …/crm/outdated/measure/crm-measure-list.html)."
        );
    }

    #[test]
    fn a_switched_off_method_without_a_successor_says_so() {
        assert_eq!(
            said("crm.paysystem.list"),
            "crm.paysystem.list is deprecated and switched off for good. Nothing was executed, and no method takes its \
             place (…/crm/universal/invoice.html, …/crm/outdated/invoice/crm-pay-system-list.html)."
        );
    }
}
