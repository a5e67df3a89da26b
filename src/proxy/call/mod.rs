//! One call, from its head to the head of its answer.

pub mod address;
pub mod applications;
mod coding;
pub mod collect;
pub mod compare;
pub mod handle;
pub mod job;
pub mod preflight;
pub mod reply;
pub mod response_body;
pub mod room;
pub mod span;
pub mod turn;
