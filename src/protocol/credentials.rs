//! Where a call's credentials stand (PROTOCOL §3). They are read only to tell callers apart, as keyed fingerprints.
use super::call::{Body, read_body};
use super::place::{Access, Place, query};
use super::{Fields, Layer, Secret, form, json, multipart, name, utf8};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;

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
        /// `client_id`, which is no secret: the portal itself names an application by it.
        application: Option<Cow<'a, str>>,
    },
    /// A browser's session: `sessid`, or `X-Bitrix-Csrf-Token`.
    Session,
    /// Nothing of these.
    None,
}

/// The parameters that say who calls.
const READ: [&str; 7] = [
    "aplogin",
    "ap",
    "auth",
    "access_token",
    "client_id",
    "APP_SID",
    "sessid",
];

/// More parameters whose values are secrets: they stand in callbacks and in what browsers are given.
const SECRET_TOO: [&str; 5] = [
    "refresh_token",
    "client_secret",
    "application_token",
    "AUTH_ID",
    "REFRESH_ID",
];

/// Whether a parameter's value is a credential, or belongs to one.
pub fn is_parameter(name: &[u8]) -> bool {
    READ.iter()
        .chain(&SECRET_TOO)
        .any(|parameter| parameter.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a parameter's value must never be shown. An application's `client_id` may: the portal itself tells it.
pub fn is_secret(name: &str) -> bool {
    is_parameter(name.as_bytes()) && !name.eq_ignore_ascii_case("client_id")
}

/// Reads the credentials of a call. `body` is the Content-Type and the bytes of a POST's body, where they are at hand.
///
/// The portal asks for a token first, then for a webhook, then for a session: the first that is there decides, right or
/// wrong.
pub fn read<'a>(
    place: &Place<'a>,
    fields: &'a dyn Fields,
    target: &'a [u8],
    body: Option<(&'a [u8], &'a [u8])>,
) -> Credentials<'a> {
    let mut found = Found::default();
    found.take_form(target, query(target), form::Limit::QUERY);
    if let Some((content_type, bytes)) = body {
        found.take_body(content_type, bytes);
    }
    let token = bearer(fields).or_else(|| found.token());
    let application = found.get("client_id");
    let client = application
        .clone()
        .or_else(|| found.get("APP_SID"))
        .map(Secret::new);
    let of_application = |token: Option<Cow<'a, str>>| Credentials::OAuth {
        token: token.map(Secret::new),
        client: client.clone(),
        application: application.clone(),
    };
    if token.is_some() {
        return of_application(token);
    }
    if let Place::Call {
        access: Access::Webhook { user, code },
        ..
    } = place
    {
        return Credentials::Webhook {
            user: user.clone(),
            code: code.clone(),
        };
    }
    if let (Some(user), Some(code)) = (found.get("aplogin"), found.get("ap")) {
        Credentials::Webhook {
            user,
            code: Secret::new(code),
        }
    } else if client.is_some() {
        of_application(None)
    } else if found.get("sessid").is_some() || fields.get("x-bitrix-csrf-token").is_some() {
        Credentials::Session
    } else {
        Credentials::None
    }
}

static AUTH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"auth"));
static ACCESS_TOKEN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"access_token"));

/// Whether a call has an application's token, which counts before a webhook in its address. Nearly all with such an
/// address have none, and that costs a quick look.
pub fn has_token(fields: &dyn Fields, target: &[u8], body: Option<(&[u8], &[u8])>) -> bool {
    let may_name = |bytes: &[u8]| {
        bytes.len() > b"auth=".len()
            && (memchr::memchr2(b'%', b'\\', bytes).is_some()
                || AUTH.find(bytes).is_some()
                || ACCESS_TOKEN.find(bytes).is_some())
    };
    if bearer(fields).is_some() {
        return true;
    }
    let mut found = Found::default();
    let query = query(target);
    if may_name(&target[query.clone()]) {
        found.take_form(target, query, form::Limit::QUERY);
    }
    if let Some((content_type, bytes)) = body.filter(|(_, bytes)| may_name(bytes)) {
        found.take_body(content_type, bytes);
    }
    found.token().is_some()
}

/// Whether the head alone says whose call it is: nothing in a body counts before that.
pub fn is_told_by_head(fields: &dyn Fields) -> bool {
    bearer(fields).is_some()
}

/// The token in `Authorization`, behind any blanks.
fn bearer(fields: &dyn Fields) -> Option<Cow<'_, str>> {
    let (scheme, token) = fields.get("authorization")?.split_at_checked(6)?;
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0B;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && token.first().is_some_and(blank);
    let start = token.iter().position(|byte| !blank(byte))?;
    let token = is_bearer.then(|| str::from_utf8(&token[start..]).ok())??;
    Some(Cow::Borrowed(token.trim_ascii_end()))
}

/// The values of the parameters that say who calls; what comes later takes the place of what came before.
#[derive(Default)]
struct Found<'a>([Option<Cow<'a, str>>; READ.len()]);

impl<'a> Found<'a> {
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.set(name).filter(|value| !value.is_empty())
    }

    fn set(&self, name: &str) -> Option<Cow<'a, str>> {
        let at = READ.iter().position(|read| *read == name)?;
        self.0[at].clone()
    }

    /// `auth`, else `access_token`. An `auth` that is there hides the other, and is no key where PHP takes it for false.
    fn token(&self) -> Option<Cow<'a, str>> {
        self.set("auth")
            .or_else(|| self.set("access_token"))
            .filter(|token| !matches!(token.as_ref(), "" | "0"))
    }

    /// Takes a value; `None` for a list or an object, which is no credential.
    fn put(&mut self, name: &[u8], value: Option<Cow<'a, [u8]>>) {
        if let Some(at) = READ.iter().position(|read| read.as_bytes() == name) {
            self.0[at] = value.map(|value| match value {
                Cow::Borrowed(bytes) => utf8::text(bytes),
                Cow::Owned(bytes) => Cow::Owned(utf8::text(&bytes).into_owned()),
            });
        }
    }

    fn take_form(&mut self, bytes: &'a [u8], span: std::ops::Range<usize>, limit: form::Limit) {
        let wanted = name::Wanted::keys(READ.iter().map(|name| name.as_bytes()));
        for pair in form::pairs(bytes, span, limit).take_while(|pair| pair.is_read) {
            if wanted.may_be_in(&bytes[pair.whole.clone()]) {
                let (name, value) = pair.split(bytes);
                if let Some(name) = wanted.read(&bytes[name])
                    && let Some(key) = name.key(0)
                {
                    let is_text = name.keys().len() == 1 && !name.is_too_deep();
                    self.put(key, is_text.then(|| Layer::Form.decode(&bytes[value])));
                }
            }
        }
    }

    fn take_body(&mut self, content_type: &'a [u8], bytes: &'a [u8]) {
        let keep = |member: &json::Member| is_parameter(&json::text(bytes, &member.key));
        match read_body(Some(content_type), bytes, keep) {
            Ok(Body::Json { members, .. }) => {
                for member in members {
                    let value = match member.value.kind {
                        json::Kind::String => Some(json::text(bytes, &member.value.span)),
                        json::Kind::Other => Some(Cow::Borrowed(&bytes[member.value.span])),
                        json::Kind::Null => Some(Cow::Borrowed(b"".as_slice())),
                        json::Kind::Object | json::Kind::List => None,
                    };
                    self.put(&json::text(bytes, &member.key), value);
                }
            }
            Ok(Body::Form { span, limit, .. }) => self.take_form(bytes, span, limit),
            Ok(Body::Multipart { boundary }) => {
                for field in multipart::fields(bytes, boundary).filter(|field| field.is_read) {
                    if let Some(name) = name::Name::read(&field.name.text)
                        && let Some(key) = name.key(0)
                    {
                        let is_text = name.keys().len() == 1 && !name.is_too_deep();
                        self.put(key, is_text.then(|| Cow::Borrowed(&bytes[field.value])));
                    }
                }
            }
            Ok(Body::Empty { .. }) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::{RestPath, place};
    use super::*;

    type Head<'h> = Vec<(&'h str, &'h [u8])>;

    fn of<'a>(
        target: &'a str,
        head: &'a Head<'a>,
        body: Option<(&'a str, &'a str)>,
    ) -> Credentials<'a> {
        let place = place(target.as_bytes(), &RestPath::default());
        read(
            &place,
            head,
            target.as_bytes(),
            body.map(|(kind, bytes)| (kind.as_bytes(), bytes.as_bytes())),
        )
    }

    fn webhook(user: &'static str, code: &'static str) -> Credentials<'static> {
        Credentials::Webhook {
            user: user.into(),
            code: Secret::new(code),
        }
    }

    fn oauth(token: &'static str, client: Option<&'static str>) -> Credentials<'static> {
        Credentials::OAuth {
            token: Some(Secret::new(token)),
            client: client.map(Secret::new),
            application: client
                .filter(|id| id.starts_with("local."))
                .map(Cow::Borrowed),
        }
    }

    #[test]
    fn credentials_are_found_wherever_they_stand() {
        let none = Head::new();
        let head: Head = vec![("Authorization", b"bearer T")];
        assert_eq!(
            of("/rest/1/c%6Fde/a?x=auth", &none, None),
            webhook("1", "code")
        );
        assert_eq!(of("/rest/a?aplogin=u&ap=c", &none, None), webhook("u", "c"));
        assert_eq!(of("/rest/a?auth=x", &head, None), oauth("T", None));
        assert_eq!(
            of("/rest/a?access_token=y&auth=%78", &none, None),
            oauth("x", None)
        );
        let json = Some((
            "application/json",
            r#"{"auth":"b","client_id":"local.1","APP_SID":"s"}"#,
        ));
        assert_eq!(
            of("/rest/a?auth=q", &none, json),
            oauth("b", Some("local.1"))
        );
        let form = Some(("application/x-www-form-urlencoded", "auth=f&APP_SID=s"));
        assert_eq!(of("/rest/a", &none, form), oauth("f", Some("s")));
        let multipart = "--B\r\nContent-Disposition: form-data; name=\"auth\"\r\n\r\nm\r\n--B--";
        assert_eq!(
            of(
                "/rest/a",
                &none,
                Some(("multipart/form-data; boundary=B", multipart))
            ),
            oauth("m", None)
        );
        assert_eq!(of("/rest/a?sessid=1", &none, None), Credentials::Session);
        let csrf: Head = vec![("X-Bitrix-Csrf-Token", b"1")];
        assert_eq!(of("/rest/a", &csrf, None), Credentials::Session);
        assert_eq!(of("/rest/a?auth=", &none, None), Credentials::None);
    }

    #[test]
    fn a_token_counts_before_a_webhook_and_a_webhook_before_a_session() {
        let none = Head::new();
        for target in [
            "/rest/1/made-up/a?auth=T&client_id=local.1",
            "/rest/1/made-up/a?access_token=T&client_id=local.1",
            "/rest/x/y?method=a&aplogin=1&ap=made-up&auth=T&client_id=local.1",
        ] {
            assert_eq!(of(target, &none, None), oauth("T", Some("local.1")));
            assert!(has_token(&none, target.as_bytes(), None));
        }
        let form = Some((
            "application/x-www-form-urlencoded",
            "%61uth=T&client_id=local.1",
        ));
        assert_eq!(
            of("/rest/1/made-up/a", &none, form),
            oauth("T", Some("local.1"))
        );
        for target in [
            "/rest/1/code/a?auth=&access_token=T&client_id=local.1&sessid=1",
            "/rest/1/code/a?auth=0",
            "/rest/1/code/a?auth[x]=T",
            "/rest/1/code/a?access_token=T&auth=",
        ] {
            assert_eq!(of(target, &none, None), webhook("1", "code"), "{target}");
            assert!(!has_token(&none, target.as_bytes(), None), "{target}");
        }
        let list = Some(("application/json", r#"{"auth":[],"access_token":"T"}"#));
        assert_eq!(of("/rest/a?auth=Q", &none, list), oauth("T", None));
        let null = Some(("application/json", r#"{"auth":null,"access_token":"T"}"#));
        assert_eq!(of("/rest/a?auth=Q", &none, null), Credentials::None);
    }

    #[test]
    fn any_blanks_may_stand_behind_bearer() {
        for (value, token) in [
            ("Bearer T", true),
            ("BEARER\tT", true),
            ("bearer \t T", true),
            ("BearerT", false),
            ("Bearer ", false),
            ("Basic T", false),
        ] {
            let head: Head = vec![("Authorization", value.as_bytes())];
            let found = of("/rest/1/code/a", &head, None);
            let expected = if token {
                oauth("T", None)
            } else {
                webhook("1", "code")
            };
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn no_credential_is_printed() {
        let none = Head::new();
        let shown = format!(
            "{:?} {:?}",
            of("/rest/1/s3cret/a", &none, None),
            of("/rest/a?auth=s3cret", &none, None)
        );
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
