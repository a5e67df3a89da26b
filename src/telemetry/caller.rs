//! Who called, as far as a call shows it: fingerprints instead of credentials, and texts without secrets.

use std::net::IpAddr;

use super::json::{LONGEST_TEXT, Object, cut};
use crate::protocol::credentials::Credentials;
use crate::protocol::target::mask;
use crate::protocol::{Fields, Secret};

/// How a call said who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// An inbound webhook.
    Webhook,
    /// An application's token.
    OAuth,
    /// A browser's session.
    Session,
    /// The call carries no credentials.
    None,
    /// They stand in a body that was not read.
    #[default]
    Unknown,
}

impl Auth {
    /// The word that events use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::OAuth => "oauth",
            Self::Session => "session",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// Turns credentials into fingerprints: a keyed BLAKE3 hash, 16 hexadecimal digits. The same credential has the same
/// fingerprint in all replicas and after a restart, as long as the key is the same; without the key, a log that leaves the
/// house cannot be matched with guessed codes, short as they are.
#[derive(Clone)]
pub struct Fingerprints {
    key: [u8; 32],
    portal: String,
}

impl Fingerprints {
    /// What the key is derived for; part of every fingerprint's meaning, never to be changed.
    const CONTEXT: &'static str = "b24-migration-proxy 2026-11 credential fingerprint";

    /// Fingerprints under a key of one's own (`--fingerprint-key-file`): any bytes, blanks at their ends cut off.
    pub fn new(key: &[u8]) -> Self {
        Self {
            key: blake3::derive_key(Self::CONTEXT, key.trim_ascii()),
            portal: String::new(),
        }
    }

    /// The portal's host name, which a webhook's key begins with: the same user of two portals is two callers.
    #[must_use]
    pub fn of_portal(mut self, host: &str) -> Self {
        host.clone_into(&mut self.portal);
        self
    }

    /// The fingerprint of a credential.
    pub fn of(&self, secret: &Secret<'_>) -> String {
        let hash = blake3::keyed_hash(&self.key, secret.expose().as_bytes());
        hash.to_hex()[..16].to_owned()
    }
}

/// The documented default key is that of no bytes: it tells callers apart, and hides nothing from who guesses.
impl Default for Fingerprints {
    fn default() -> Self {
        Self::new(b"")
    }
}

impl std::fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fingerprints")
            .field("key", &"***")
            .field("portal", &self.portal)
            .finish()
    }
}

/// One caller. All texts are masked and cut at 512 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    pub auth: Auth,
    /// The webhook's user: an id or a login.
    pub user: Option<String>,
    /// Of the webhook's code, of the application's id where a call names it, else of its token.
    pub fingerprint: Option<String>,
    /// The application as the portal names it in its answer.
    pub application: Option<String>,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// The library, with its version where it tells: `b24phpsdk 1.9.0`.
    pub sdk: Option<String>,
    /// What pages, metrics and selectors group by.
    pub key: String,
}

impl Caller {
    /// The caller of a call: from its credentials, its head and target, and the address that it came from.
    pub fn of(
        credentials: &Credentials<'_>,
        fields: &dyn Fields,
        target: &[u8],
        address: Option<IpAddr>,
        fingerprints: &Fingerprints,
    ) -> Self {
        let user_agent = fields.get("user-agent").map(|value| short(mask(value)));
        let sdk = super::sdk::recognise(user_agent.as_deref(), target);
        let mut caller = Self {
            address,
            user_agent,
            sdk,
            ..Self::default()
        };
        match credentials {
            Credentials::Webhook { user, code } => {
                let fingerprint = fingerprints.of(code);
                caller.auth = Auth::Webhook;
                caller.key = short(format!(
                    "webhook:{}:{user}:{fingerprint}",
                    fingerprints.portal
                ));
                caller.user = Some(short(mask(user.as_bytes())));
                caller.fingerprint = Some(fingerprint);
            }
            Credentials::OAuth { token, client } => {
                caller.auth = Auth::OAuth;
                caller.fingerprint = client
                    .as_ref()
                    .or(token.as_ref())
                    .map(|secret| fingerprints.of(secret));
                caller.key = match (client, &caller.fingerprint) {
                    (Some(_), Some(client)) => format!("client:{client}"),
                    _ => caller.anonymous_key(),
                };
            }
            Credentials::Session => {
                caller.auth = Auth::Session;
                caller.key = caller.anonymous_key();
            }
            Credentials::None => {
                caller.auth = Auth::None;
                caller.key = caller.anonymous_key();
            }
        }
        caller
    }

    /// The same caller whose credentials may stand in a body that was not read.
    #[must_use]
    pub fn with_unread_body(mut self) -> Self {
        if self.auth == Auth::None {
            self.auth = Auth::Unknown;
            self.key = self.anonymous_key();
        }
        self
    }

    /// The application that the portal named in its answer (`X-Bitrix-Rest-Application`): the key of an OAuth caller.
    pub fn name_application(&mut self, x_bitrix_rest_application: &[u8]) {
        if x_bitrix_rest_application.is_empty() {
            return;
        }
        let application = short(mask(x_bitrix_rest_application));
        if self.auth != Auth::Webhook {
            if matches!(self.auth, Auth::Unknown | Auth::None) {
                self.auth = Auth::OAuth;
            }
            self.key = short(format!("application:{application}"));
        }
        self.application = Some(application);
    }

    /// Without any credential that lasts: library and address.
    fn anonymous_key(&self) -> String {
        let sdk = self
            .sdk
            .as_deref()
            .and_then(|sdk| sdk.split(' ').next())
            .unwrap_or("unknown");
        match self.address {
            Some(address) => format!("{}:{sdk}:{address}", self.auth.as_str()),
            None => format!("{}:{sdk}", self.auth.as_str()),
        }
    }

    pub(super) fn write(&self, name: Option<&str>, out: &mut Vec<u8>) {
        let mut caller = Object::begin(out);
        caller
            .text("key", &self.key)
            .text_if("name", name)
            .text("auth", self.auth.as_str())
            .text_if("user", self.user.as_deref())
            .text_if("fingerprint", self.fingerprint.as_deref())
            .text_if("application", self.application.as_deref())
            .text_if(
                "address",
                self.address.map(|address| address.to_string()).as_deref(),
            )
            .text_if("user_agent", self.user_agent.as_deref())
            .text_if("sdk", self.sdk.as_deref());
        caller.end();
    }
}

fn short(mut text: String) -> String {
    text.truncate(cut(&text, LONGEST_TEXT).len());
    text
}
