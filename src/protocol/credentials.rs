//! Where a call's credentials stand (PROTOCOL §3). They are read only to tell callers apart, as keyed fingerprints.
use super::call::{Body, read_body};
use super::place::{Access, Place, query};
use super::{Fields, Layer, Secret, form, json, multipart, name};
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
pub fn read<'a>(
    place: &Place<'a>,
    fields: &'a dyn Fields,
    target: &'a [u8],
    body: Option<(&'a [u8], &'a [u8])>,
) -> Credentials<'a> {
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
    let mut found = Found::default();
    found.take_form(target, query(target), form::Limit::QUERY);
    if let Some((content_type, bytes)) = body {
        found.take_body(content_type, bytes);
    }
    let secret = |value: Option<Cow<'a, str>>| value.map(Secret::new);
    let bearer = fields
        .get("authorization")
        .and_then(bearer)
        .map(Cow::Borrowed);
    if let (Some(user), Some(code)) = (found.get("aplogin"), found.get("ap")) {
        return Credentials::Webhook {
            user,
            code: Secret::new(code),
        };
    }
    let token = secret(
        bearer
            .or_else(|| found.get("auth"))
            .or_else(|| found.get("access_token")),
    );
    let application = found.get("client_id");
    let client = secret(application.clone().or_else(|| found.get("APP_SID")));
    if token.is_some() || client.is_some() {
        Credentials::OAuth {
            token,
            client,
            application,
        }
    } else if found.get("sessid").is_some() || fields.get("x-bitrix-csrf-token").is_some() {
        Credentials::Session
    } else {
        Credentials::None
    }
}

fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    let token = str::from_utf8(token.trim_ascii()).ok()?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// The values of the parameters that say who calls; what comes later takes the place of what came before.
#[derive(Default)]
struct Found<'a>([Option<Cow<'a, str>>; READ.len()]);

impl<'a> Found<'a> {
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let at = READ.iter().position(|read| *read == name)?;
        self.0[at].clone().filter(|value| !value.is_empty())
    }

    fn put(&mut self, name: &[u8], value: Cow<'a, [u8]>) {
        if let Some(at) = READ.iter().position(|read| read.as_bytes() == name) {
            self.0[at] = Some(match value {
                Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            });
        }
    }

    fn take_form(&mut self, bytes: &'a [u8], span: std::ops::Range<usize>, limit: form::Limit) {
        let wanted = name::Wanted::keys(READ.iter().map(|name| name.as_bytes()));
        for pair in form::pairs(bytes, span, limit).take_while(|pair| pair.is_read) {
            if wanted.may_be_in(&bytes[pair.whole.clone()]) {
                let (name, value) = pair.split(bytes);
                if let Some(key) = name::top_level(&bytes[name]) {
                    self.put(&key, Layer::Form.decode(&bytes[value]));
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
                        json::Kind::String => json::text(bytes, &member.value.span),
                        json::Kind::Other => Cow::Borrowed(&bytes[member.value.span]),
                        _ => Cow::Borrowed(b"".as_slice()),
                    };
                    self.put(&json::text(bytes, &member.key), value);
                }
            }
            Ok(Body::Form { span, limit, .. }) => self.take_form(bytes, span, limit),
            Ok(Body::Multipart { boundary }) => {
                for field in multipart::fields(bytes, boundary).filter(|field| field.is_read) {
                    self.put(&field.name.text, Cow::Borrowed(&bytes[field.value]));
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
            of("/rest/1/c%6Fde/a?auth=x", &none, None),
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
