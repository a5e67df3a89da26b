//! What is known of a caller's use of one method (pure): a row of the status page, or what a report gathered from the log.

/// The use of one method by one caller. What clients can invent is in it as they sent it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The deprecated method.
    pub method: String,
    /// The caller's name in the callers file.
    pub name: Option<String>,
    /// How it authenticates: `webhook`, `oauth`, `session`, `none` or nothing.
    pub auth: String,
    /// The user of its webhook.
    pub user: Option<String>,
    pub application: Option<String>,
    pub fingerprint: Option<String>,
    pub address: Option<String>,
    /// Its library and version.
    pub sdk: Option<String>,
    pub user_agent: Option<String>,
    pub behind: Behind,
    /// The last call's target, without secrets.
    pub target: String,
    /// How the last call carried its parameters.
    pub encoding: String,
    /// How many of the calls came in a batch.
    pub batch: u64,
    /// What the proxy changed in the last call, in words.
    pub changes: Vec<String>,
    /// The names of parameters and fields that it sends, as a form writes them.
    pub parameters: Vec<String>,
    /// What the log said to call instead, for a method without a rule.
    pub replacement: Option<String>,
    /// The page that the log named, for a method without a rule.
    pub documentation: Option<String>,
    /// All calls, and the first and the last one in milliseconds since 1970; 0 where that is not known.
    pub calls: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    /// The date (`YYYY-MM-DD`) from which its calls are refused.
    pub until: Option<String>,
}

/// What stands behind a name: how many, and those that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behind {
    pub keys: (usize, Vec<String>),
    pub libraries: (usize, Vec<String>),
    pub addresses: (usize, Vec<String>),
}
