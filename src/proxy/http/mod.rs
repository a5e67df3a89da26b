//! HTTP/1 as pure machines, the same for both sides: bytes in, messages out, and the reverse (RFC 9112).
//!
//! [`read`] turns bytes into [`head`]s with their [`fields`], `ends` says where a part of a head ends; [`chunked`] follows
//! chunks; [`request_in`] finds requests in what a client sends, [`body_in`] takes the body of a request or an answer apart,
//! [`message_out`] frames what goes out; [`forward`] writes heads, [`origin`] and [`peer`] turn
//! what stands in them. None knows a socket, a task or a clock: whoever drives one hands it bytes and does what it asks for.

pub mod body_in;
pub mod chunked;
mod ends;
pub mod fields;
pub mod forward;
pub mod head;
pub mod message_out;
pub mod origin;
pub mod peer;
pub mod read;
pub mod request_in;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;
