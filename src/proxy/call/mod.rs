//! One call, from its head to the head of its answer.

pub mod address;
pub mod applications;
pub mod calls;
pub mod client;
mod coding;
pub mod collect;
pub mod compare;
pub mod context;
pub mod handle;
pub mod job;
pub mod limits;
mod notice;
pub mod preflight;
pub mod reply;
pub mod response_body;
pub mod room;
mod send;
pub mod span;
pub mod turn;
mod turns;
mod usage;
