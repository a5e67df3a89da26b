//! Where a call's credentials stand (PROTOCOL §3). They are read only to tell callers apart, as keyed fingerprints.
use super::{
    Fields, Secret,
    target::{Access, Place},
};
use std::borrow::Cow;

/// How a call says who it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// An inbound webhook: `/rest/USER/CODE/…`, or the parameters `aplogin` and `ap`.
    Webhook {
        /// The user's id or login.
        user: Cow<'a, str>,
        /// The webhook's code.
        code: Secret<'a>,
    },
    /// An application's token.
    OAuth {
        /// The access token; it changes every hour.
        token: Option<Secret<'a>>,
        /// `client_id`, else `APP_SID`: stays the same for an application.
        client: Option<Secret<'a>>,
    },
    /// A browser's session: `sessid`, or `X-Bitrix-Csrf-Token`.
    Session,
    /// Nothing of these.
    None,
}

/// The parameters that hold credentials, or say what kind they are.
const PARAMETERS: [&str; 10] = [
    "auth",
    "access_token",
    "refresh_token",
    "aplogin",
    "ap",
    "sessid",
    "client_id",
    "client_secret",
    "APP_SID",
    "application_token",
];

/// Whether a parameter's value is a credential, or belongs to one.
pub fn is_parameter(name: &[u8]) -> bool {
    PARAMETERS
        .iter()
        .any(|parameter| parameter.as_bytes().eq_ignore_ascii_case(name))
}

/// Reads the credentials of a call. `body` is its Content-Type and its bytes, where they are at hand.
pub fn read<'a>(
    place: &Place<'a>,
    fields: &'a dyn Fields,
    target: &'a [u8],
    body: Option<(&'a [u8], &'a [u8])>,
) -> Credentials<'a> {
    let _ = (fields, target, body);
    match place {
        Place::Call {
            access: Access::Webhook { user, code },
            ..
        } => Credentials::Webhook {
            user: user.clone(),
            code: code.clone(),
        },
        _ => Credentials::None,
    }
}
