//! A call as people write it on a command line: a method, a path or a URL.

use super::failure::Failure;
use crate::protocol::target::RestPath;

/// The request target of a method, a path or a URL.
pub fn target_of(call: &str, rest: &RestPath) -> Result<String, Failure> {
    let call = call.trim();
    let target = if let Some((_, after)) = call
        .split_once("://")
        .filter(|(scheme, _)| !scheme.contains(['/', '?']))
    {
        match after.find('/') {
            Some(path) => after[path..].to_owned(),
            None => {
                return Err(Failure::usage(
                    "the URL has no path, and so calls no method; add /rest/METHOD",
                ));
            }
        }
    } else if call.starts_with('/') {
        call.to_owned()
    } else {
        format!("{}{call}", rest.as_str())
    };
    if call.is_empty() || target.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(Failure::usage(
            "the call is empty or holds a space; write a space in an address as %20",
        ));
    }
    Ok(target)
}
