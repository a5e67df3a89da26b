//! What a request calls: its address as the portal reads it, with what stands beside it in the head.

use std::cell::OnceCell;

use crate::protocol::address::Address;
use crate::protocol::target::{self, Place};
use crate::protocol::urlrewrite::Made;
use crate::protocol::{call, unnamed};
use crate::proxy::call::context::Context;
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::translate::{self, Doubt};

/// The address of a request. `came` is its target, `made` what `urlrewrite.php` makes of that.
pub fn of<'t>(
    context: &Context,
    head: &RequestHead,
    came: &'t [u8],
    made: Option<&'t Made>,
) -> Address<'t> {
    let rest = &context.config.rest_path;
    let has_none = context.host.is_none()
        && target::leaves_no_address(head.fields.first(Name::Host).unwrap_or_default());
    let may_be_named = OnceCell::new();
    let place_of = |target| match target::place(target, rest) {
        place if has_none => target::without_templates(place),
        place => place,
    };
    let place_of = |target| match place_of(target) {
        Place::Unnamed if !may_be_named.get_or_init(|| may_be_named_by_body(head)) => {
            unnamed::read(head.method(), target, None, b"")
        }
        place => place,
    };
    let concerns =
        |place: &Place<'_>| translate::concerns(place, context.calls.policy.load().catalogue());
    Address::of(came, made, place_of, concerns)
}

/// The address of a call that the body may name, now that this is read.
pub fn named<'t>(head: &RequestHead, address: &Address<'t>, body: &[u8]) -> Address<'t> {
    let of = |content_type: Option<&[u8]>| {
        unnamed::read(head.method(), address.target, content_type, body)
    };
    let first = of(head.fields.first(Name::ContentType));
    let place = match (&first, joined_content_types(head)) {
        // Of two readings the one that calls something; which of them the portal's server has, nobody knows.
        (Place::OtherRest, Some(joined)) => of(Some(&joined)),
        _ => first,
    };
    Address { place, ..*address }
}

fn may_be_named_by_body(head: &RequestHead) -> bool {
    let may = |content_type: Option<&[u8]>| unnamed::may_stand_in_body(head.method(), content_type);
    head.framing != Framing::None
        && (may(head.fields.first(Name::ContentType))
            || joined_content_types(head).is_some_and(|joined| may(Some(&joined))))
}

/// What servers that join lines of one name make of several `Content-Type`; `None` where there is one at most.
fn joined_content_types(head: &RequestHead) -> Option<Vec<u8>> {
    let mut values = head.fields.known(Name::ContentType);
    let (first, second) = (values.next()?, values.next()?);
    let mut joined = [first, b", ", second].concat();
    for value in values {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
    }
    Some(joined)
}

/// The `Content-Encoding` that counts: the first that names a coding.
pub fn content_encoding(head: &RequestHead) -> Option<&[u8]> {
    head.fields
        .known(Name::ContentEncoding)
        .find(|value| call::names_coding(value))
}

/// Why a call of this head cannot be changed, although it can be read.
pub fn doubt(head: &RequestHead, address: &Address<'_>, has_body: bool) -> Option<Doubt> {
    if address.is_made {
        return Some(Doubt::Address);
    }
    let first = head.fields.first(Name::ContentType)?;
    let counts = has_body && head.method() == b"POST";
    let joined = counts.then(|| joined_content_types(head)).flatten()?;
    call::are_read_differently(first, &joined).then_some(Doubt::ContentType)
}
