//! Which caller a call counts for, as pacing tells them apart: by bytes that are at hand, looked up nowhere.
//!
//! A webhook is its user and code; a call with a token in its head or query is that token; all others are their address
//! and library. Credentials in a body that is not read do not count.

use crate::pace::queue::Flow;
use crate::protocol::Fields;
use crate::protocol::target::{self, Access, Place, RestPath};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;

/// What makes two calls one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who<'a> {
    Webhook {
        user: &'a [u8],
        code: &'a [u8],
    },
    Token(&'a [u8]),
    Other {
        address: Option<IpAddr>,
        agent: &'a [u8],
    },
}

impl<'a> Who<'a> {
    /// Of a REST call.
    pub fn of(
        place: &'a Place<'_>,
        rest: &RestPath,
        fields: &'a dyn Fields,
        target: &'a [u8],
        address: Option<IpAddr>,
    ) -> Self {
        if let Place::Call {
            access: Access::Webhook { user, code },
            ..
        } = place
        {
            return Who::Webhook {
                user: user.as_bytes(),
                code: code.expose().as_bytes(),
            };
        }
        if matches!(place, Place::OtherRest)
            && let Some((user, code)) = webhook_of_api(target, rest)
        {
            return Who::Webhook { user, code };
        }
        match bearer(fields).or_else(|| in_query(target)) {
            Some(token) => Who::Token(token),
            None => Who::Other {
                address,
                agent: fields.get("user-agent").unwrap_or_default(),
            },
        }
    }

    /// As the queue knows it: under a key of this process, so that nobody outside can make two callers one.
    pub fn flow(&self, key: &RandomState) -> Flow {
        key.hash_one(self)
    }

    /// The bytes of which the access log's `flow` is made.
    pub fn bytes(&self) -> Vec<u8> {
        let address;
        let (kind, first, second): (&[u8], &[u8], &[u8]) = match self {
            Who::Webhook { user, code } => (b"webhook", user, code),
            Who::Token(token) => (b"token", token, b""),
            Who::Other {
                address: from,
                agent,
            } => {
                address = from.map(|from| from.to_string()).unwrap_or_default();
                (b"other", address.as_bytes(), agent)
            }
        };
        [kind, first, second].join(&b'\n')
    }
}

/// `api/USER/CODE/METHOD`: a webhook's address of REST v3.
fn webhook_of_api<'t>(target: &'t [u8], rest: &RestPath) -> Option<(&'t [u8], &'t [u8])> {
    let path = &target[..target::query(target).start];
    let path = path.strip_suffix(b"?").unwrap_or(path);
    let under = path
        .strip_prefix(rest.as_str().as_bytes())?
        .strip_prefix(b"api/")?;
    let mut segments = under.split(|byte| *byte == b'/');
    let (user, code, method) = (segments.next()?, segments.next()?, segments.next()?);
    (!method.is_empty()).then_some((user, code))
}

fn bearer(fields: &dyn Fields) -> Option<&[u8]> {
    let (scheme, token) = fields.get("authorization")?.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

fn in_query(target: &[u8]) -> Option<&[u8]> {
    let query = &target[target::query(target)];
    let value = |name: &[u8]| {
        query
            .split(|byte| *byte == b'&')
            .find_map(|pair| pair.strip_prefix(name))
            .filter(|value| !value.is_empty())
    };
    value(b"auth=").or_else(|| value(b"access_token="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who<T>(target: &[u8], fields: &dyn Fields, look: impl FnOnce(Who<'_>) -> T) -> T {
        let rest = RestPath::default();
        let place = target::place(target, &rest);
        look(Who::of(
            &place,
            &rest,
            fields,
            target,
            "192.0.2.7".parse().ok(),
        ))
    }

    #[test]
    fn a_webhook_is_one_caller_whatever_it_calls_and_from_where() {
        let webhook = Who::Webhook {
            user: b"7",
            code: b"s3cret",
        };
        let none = vec![];
        for target in [
            &b"/rest/7/s3cret/crm.lead.list"[..],
            b"/rest/7/s3cret/crm.deal.list.json?auth=x",
            b"/rest/api/7/s3cret/tasks.task.get",
        ] {
            who(target, &none, |found| {
                assert_eq!(found, webhook, "{}", target.escape_ascii())
            });
        }
    }

    #[test]
    fn a_token_is_one_caller_and_all_others_are_address_and_library() {
        let bearer: Vec<(&str, &[u8])> =
            vec![("Authorization", b"Bearer t0ken"), ("User-Agent", b"x/1")];
        who(b"/rest/crm.lead.list?auth=other", &bearer, |found| {
            assert_eq!(found, Who::Token(b"t0ken"))
        });
        let agent: Vec<(&str, &[u8])> = vec![("User-Agent", b"x/1")];
        who(b"/rest/crm.lead.list?a=1&auth=t0ken", &agent, |found| {
            assert_eq!(found, Who::Token(b"t0ken"))
        });
        who(
            b"/rest/api/tasks.task.get?access_token=t0ken",
            &agent,
            |found| {
                assert_eq!(found, Who::Token(b"t0ken"));
            },
        );
        who(b"/rest/crm.lead.list?auth=", &agent, |found| {
            let address = "192.0.2.7".parse().ok();
            assert_eq!(
                found,
                Who::Other {
                    address,
                    agent: b"x/1"
                }
            );
        });
    }

    #[test]
    fn a_flow_depends_on_the_key_of_the_process_alone() {
        let (one, two) = (RandomState::new(), RandomState::new());
        let token = Who::Token(b"t0ken");
        assert_eq!(token.flow(&one), token.flow(&one));
        assert_ne!(token.flow(&one), token.flow(&two));
        assert_ne!(token.flow(&one), Who::Token(b"t0kem").flow(&one));
    }
}
