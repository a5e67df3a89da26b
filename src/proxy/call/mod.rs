//! One call, from its head to the head of its answer.

pub mod address;
pub mod applications;
pub mod calls;
mod carry_out;
pub mod client;
mod coding;
pub mod collect;
pub mod compare;
pub mod context;
mod exchange;
pub mod handle;
mod intake;
pub mod job;
pub mod limits;
mod notice;
mod observe;
pub mod preflight;
pub mod reply;
pub mod response_body;
pub mod room;
mod send;
pub mod span;
mod translated;
pub mod turn;
mod turns;
mod usage;
mod work;
