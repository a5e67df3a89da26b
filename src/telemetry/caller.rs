//! Who called, as far as a call shows it: fingerprints instead of credentials, and texts without secrets.

use std::net::IpAddr;

use super::json::{LONGEST_TEXT, Object, cut};
use crate::protocol::credentials::Credentials;
use crate::protocol::target::{mask, mask_user};
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
        self.of_bytes(secret.expose().as_bytes())
    }

    /// The fingerprint of any bytes.
    pub fn of_bytes(&self, bytes: &[u8]) -> String {
        blake3::keyed_hash(&self.key, bytes).to_hex()[..16].to_owned()
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
    /// The application's id: as the portal names it in its answer, before that as the call names it (`client_id`).
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
                let user = mask_user(user, code.expose());
                caller.auth = Auth::Webhook;
                caller.key = short(format!(
                    "webhook:{}:{user}:{fingerprint}",
                    fingerprints.portal
                ));
                caller.user = Some(short(user));
                caller.fingerprint = Some(fingerprint);
            }
            Credentials::OAuth {
                token,
                client,
                application,
            } => {
                caller.auth = Auth::OAuth;
                caller.fingerprint = client
                    .as_ref()
                    .or(token.as_ref())
                    .map(|secret| fingerprints.of(secret));
                caller.key = match (client, &caller.fingerprint) {
                    (Some(_), Some(client)) => format!("client:{client}"),
                    _ => caller.anonymous_key(),
                };
                if let Some(application) = application {
                    caller.name_application(application.as_bytes());
                }
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
        let Some(application) = Self::application_of(x_bitrix_rest_application) else {
            return;
        };
        if self.auth != Auth::Webhook {
            if matches!(self.auth, Auth::Unknown | Auth::None) {
                self.auth = Auth::OAuth;
            }
            self.key = short(format!("application:{application}"));
        }
        self.application = Some(application);
    }

    /// An application's id as callers have it, where it names one.
    pub fn application_of(id: &[u8]) -> Option<String> {
        (!id.is_empty()).then(|| short(mask(id)))
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
            .address_if("address", self.address)
            .text_if("user_agent", self.user_agent.as_deref())
            .text_if("sdk", self.sdk.as_deref());
        caller.end();
    }
}

fn short(mut text: String) -> String {
    text.truncate(cut(&text, LONGEST_TEXT).len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::target::{RestPath, place};

    /// A head with nothing but a `User-Agent`.
    struct Agent<'a>(&'a [u8]);

    impl Fields for Agent<'_> {
        fn get(&self, lower_case_name: &str) -> Option<&[u8]> {
            (lower_case_name == "user-agent").then_some(self.0)
        }
        fn all<'a>(&'a self, lower_case_name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
            Box::new(self.get(lower_case_name).into_iter())
        }
    }

    const PHP: Agent<'_> = Agent(b"b24-php-sdk-vendor-v-1.9.0-php-8.3.1");

    fn of(credentials: &Credentials<'_>) -> Caller {
        let fingerprints = Fingerprints::default().of_portal("example.bitrix24.com");
        Caller::of(
            credentials,
            &PHP,
            b"/rest/x",
            "192.0.2.7".parse().ok(),
            &fingerprints,
        )
    }

    #[test]
    fn a_webhook_is_its_portal_its_user_and_its_codes_fingerprint() {
        let target = b"/rest/7/verysecretcode01/crm.lead.details.configuration.reset";
        let place = place(target, &RestPath::default());
        let credentials = crate::protocol::credentials::read(&place, &PHP, target, None);
        let caller = of(&credentials);
        let fingerprint = Fingerprints::default().of(&Secret::new("verysecretcode01"));
        assert_eq!(caller.auth, Auth::Webhook);
        assert_eq!(caller.user.as_deref(), Some("7"));
        assert_eq!(
            caller.key,
            format!("webhook:example.bitrix24.com:7:{fingerprint}")
        );
        assert_eq!(caller.sdk.as_deref(), Some("b24phpsdk 1.9.0"));
        assert_eq!(caller.fingerprint.as_deref(), Some(fingerprint.as_str()));
        assert!(!format!("{caller:?}").contains("verysecret"));
    }

    #[test]
    fn a_code_at_the_users_place_is_in_neither_user_nor_key() {
        let caller = of(&Credentials::Webhook {
            user: "verysecretcode01".into(),
            code: Secret::new("1"),
        });
        assert_eq!(caller.user.as_deref(), Some("***"));
        assert!(caller.key.starts_with("webhook:example.bitrix24.com:***:"));
    }

    #[test]
    fn a_login_stays_where_a_code_stands_at_its_place() {
        for (user, code, shown) in [
            ("administrator", "verysecretcode01", "administrator"),
            (
                "ivan.konstantinopolsky",
                "verysecretcode01",
                "ivan.konstantinopolsky",
            ),
            ("10000000001", "verysecretcode01", "10000000001"),
            ("7", "short", "7"),
            // Swapped, and without a user.
            ("verysecretcode", "1", "***"),
            ("verysecretcode", "crm.lead.list", "***"),
            ("verysecretcode01", "othersecretcode2", "***"),
        ] {
            let caller = of(&Credentials::Webhook {
                user: user.into(),
                code: Secret::new(code),
            });
            assert_eq!(caller.user.as_deref(), Some(shown));
            assert!(caller.key.contains(&format!(":{shown}:")), "{}", caller.key);
        }
    }

    #[test]
    fn an_application_is_what_the_portal_calls_it_else_its_own_id_never_its_token() {
        let token = |text: &'static str| Some(Secret::new(text));
        let mut named = of(&Credentials::OAuth {
            token: token("hour-1"),
            client: token("local.5f"),
            application: None,
        });
        let same = of(&Credentials::OAuth {
            token: token("hour-2"),
            client: token("local.5f"),
            application: None,
        });
        assert_eq!(named.key, same.key);
        assert!(named.key.starts_with("client:") && !named.key.contains("local.5f"));
        named.name_application(b"local.5f00.abc");
        assert_eq!(
            (named.key.as_str(), named.application.as_deref()),
            ("application:local.5f00.abc", Some("local.5f00.abc"))
        );

        let one = of(&Credentials::OAuth {
            token: token("hour-1"),
            client: None,
            application: None,
        });
        let next = of(&Credentials::OAuth {
            token: token("hour-2"),
            client: None,
            application: None,
        });
        assert_ne!(one.fingerprint, next.fingerprint);
        assert_eq!(one.key, next.key);
        assert_eq!(one.key, "oauth:b24phpsdk:192.0.2.7");

        let says = of(&Credentials::OAuth {
            token: token("hour-1"),
            client: token("local.5f00.abc"),
            application: Some("local.5f00.abc".into()),
        });
        assert_eq!(
            (says.key.as_str(), says.application.as_deref()),
            ("application:local.5f00.abc", Some("local.5f00.abc"))
        );
    }

    #[test]
    fn without_credentials_library_and_address_tell_callers_apart() {
        assert_eq!(of(&Credentials::Session).key, "session:b24phpsdk:192.0.2.7");
        assert_eq!(of(&Credentials::None).key, "none:b24phpsdk:192.0.2.7");
        let unread = of(&Credentials::None).with_unread_body();
        assert_eq!(
            (unread.auth, unread.key.as_str()),
            (Auth::Unknown, "unknown:b24phpsdk:192.0.2.7")
        );
        let mut named = unread;
        named.name_application(b"local.1");
        assert_eq!(
            (named.auth, named.key.as_str()),
            (Auth::OAuth, "application:local.1")
        );
    }

    #[test]
    fn a_webhooks_caller_keeps_its_key_whatever_the_answer_names() {
        let mut caller = of(&Credentials::Webhook {
            user: "1".into(),
            code: Secret::new("code"),
        });
        let before = caller.key.clone();
        caller.name_application(b"");
        assert_eq!(caller.application, None);
        caller.name_application(b"local.1");
        assert_eq!(caller.key, before);
    }

    #[test]
    fn fingerprints_are_stable_and_depend_on_the_key() {
        let secret = Secret::new("abcdef0123456789");
        let default = Fingerprints::default().of(&secret);
        // Documented: another value here means that logs of before and after cannot be joined.
        assert_eq!(default, "08927a26ae80637f");
        assert_eq!(
            Fingerprints::new(b"key\n").of(&secret),
            Fingerprints::new(b"key").of(&secret)
        );
        assert_ne!(Fingerprints::new(b"key").of(&secret), default);
        let shown = format!("{:?}", Fingerprints::new(b"key"));
        assert!(shown.contains("***") && !shown.contains('['), "{shown}");
    }

    #[test]
    fn texts_are_cut_at_512_bytes_between_characters() {
        let agent = "\u{e9}".repeat(400);
        let caller = Caller::of(
            &Credentials::None,
            &Agent(agent.as_bytes()),
            b"/",
            None,
            &Fingerprints::default(),
        );
        assert_eq!(caller.user_agent.unwrap().len(), 512);
        assert_eq!(caller.key, "none:unknown");
    }
}
