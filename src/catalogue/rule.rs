//! What a rule can say: how a deprecated method's call becomes its successor's, or only that it is deprecated.

/// How far a rule goes with the calls of its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Call for call the same as its successor: can be translated.
    Exact,
    /// Seen and logged, never changed.
    Watched,
}

/// What is done to the calls of a rule's method, for a caller at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Forwarded as it came, and logged.
    Observe,
    /// As `Observe`; a sample is also sent as its successor, and the answers are compared.
    Compare,
    /// Sent under its successor's name.
    #[default]
    Rewrite,
    /// Refused for a while.
    Brownout,
    /// Refused.
    Block,
}

/// A deprecated method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule's index in [`super::Catalogue::rules`].
    pub id: usize,
    /// The deprecated method, spelled as the documentation does.
    pub method: String,
    /// What to call instead: a method, a family `x.*`, or several; none for some watched methods.
    pub replacement: Option<String>,
    /// Whether calls can be translated.
    pub kind: RuleKind,
    /// Calls of it change nothing on the portal, so that they can be repeated to compare answers.
    pub read_only: bool,
    /// The date (`YYYY-MM-DD`) of the first public revision of the documentation that marks the method as deprecated.
    pub deprecated: Option<String>,
    /// The date (`YYYY-MM-DD`) from which calls are refused, where one is set.
    pub sunset: Option<String>,
    /// The documentation's page: its path below the documentation's address.
    pub documentation: Option<String>,
}

impl Rule {
    /// The address of the documentation's page.
    pub fn documentation_url(&self) -> Option<String> {
        self.documentation
            .as_ref()
            .map(|page| format!("https://apidocs.bitrix24.com/{page}.html"))
    }
}
