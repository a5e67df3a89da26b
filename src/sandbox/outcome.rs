//! Who calls the sandbox, and what a call gives: a result or a documented error (PROTOCOL §4).

use super::php::Value;

/// A user of the sandbox, with all that lets one in.
#[derive(Clone, PartialEq, Eq)]
pub struct SandboxUser {
    /// The id, as in `userId` and in a webhook's address.
    pub id: i64,
    /// The login, which a webhook's address may carry in place of the id.
    pub login: String,
    /// The secret of the user's inbound webhook.
    pub webhook_code: String,
    /// The user's OAuth access token.
    pub access_token: String,
    /// Whether the user is a CRM administrator.
    pub administrator: bool,
}

impl std::fmt::Debug for SandboxUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SandboxUser");
        shown
            .field("id", &self.id)
            .field("administrator", &self.administrator)
            .finish_non_exhaustive()
    }
}

/// An error as the portal answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// The code; empty for most errors of the family.
    pub code: &'static str,
    /// The text for people.
    pub description: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &'static str, description: impl Into<String>) -> Self {
        Failure {
            status,
            code,
            description: description.into(),
        }
    }

    pub(crate) fn fatal() -> Self {
        Failure::new(500, "INTERNAL_SERVER_ERROR", "Internal server error")
    }

    pub(crate) fn refused(description: impl Into<String>) -> Self {
        Failure::new(400, "", description)
    }

    pub(crate) fn not_found() -> Self {
        Failure::new(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
    }
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    /// The member `result`.
    pub result: Value,
    /// The member `total`, of lists.
    pub total: Option<i64>,
}

impl From<Value> for Success {
    fn from(result: Value) -> Self {
        Success {
            result,
            total: None,
        }
    }
}
