//! Reads the parameters of a call, from the place and in the encoding in which the portal would read them.

use super::apply::{Parameters, Source};
use super::fields::Fields;
use super::object::Object;
use super::verdict::Call;
use crate::protocol::call::{Body, Reader, read_body};
use crate::protocol::flaw::{Flaw, Unreadable};
use crate::protocol::name::Wanted;
use crate::protocol::{json, multipart};

/// The parameters of a call, as far as they are wanted.
pub(super) fn read<'a>(call: &Call<'a>, wanted: &Wanted<'_>) -> Result<Parameters<'a>, Unreadable> {
    let query = Fields::query(call.target, wanted);
    if call.verb != b"POST" {
        return Ok(Parameters::of_query(query));
    }
    let bytes = call.body;
    let is_sure = |long_line: Option<usize>| match long_line {
        Some(at) => Err(Unreadable {
            at,
            fault: Flaw::LongLine,
        }),
        None => Ok(()),
    };
    let keep = |member: &json::Member| wanted.has(&json::text(bytes, &member.key));
    let (body, is_declared) = match read_body(call.content_type, bytes, keep)? {
        Body::Empty { json: None } => {
            if Reader::of(call.content_type) == Reader::Multipart
                && let Some(boundary) = call.content_type.and_then(multipart::boundary)
            {
                is_sure(multipart::long_line(bytes, boundary))?;
            }
            return Ok(Parameters::of_query(query));
        }
        Body::Empty { json: Some(span) } => {
            (Source::Object(Object::in_place_of(bytes, span)), true)
        }
        Body::Json { top, members } => (Source::Object(Object::new(bytes, top, members)), true),
        Body::Form {
            span,
            limit,
            is_declared,
        } => (
            Source::Fields(Fields::form(bytes, span, limit, wanted)),
            is_declared,
        ),
        Body::Multipart { boundary } => {
            let fields = Fields::multipart(bytes, boundary, wanted);
            is_sure(fields.long_line())?;
            (Source::Fields(fields), true)
        }
    };
    Ok(Parameters::of_body_and_query(body, is_declared, query))
}
