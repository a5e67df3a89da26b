//! An address as the portal reads it: access, method, response format (PROTOCOL §1).
use super::answer::Format;

/// Where the portal mounts its REST addresses: begins and ends with a slash, `/rest/` unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestPath(String);

/// How a REST address says who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `/rest/METHOD`: OAuth token or session, elsewhere in the call.
    Token,
    /// `/rest/USER/CODE/METHOD`: both decoded. The code is a secret.
    Webhook { user: String, code: crate::protocol::Secret },
}

/// What an address is to the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A REST call; its method decoded, lower-cased, without suffix.
    Call { access: Access, method: String, format: Format },
    /// `/rest/api/…` or anything else under the REST path that is no call.
    OtherRest,
    /// Pages, uploads, push channels: the portal's own.
    Elsewhere,
}
