//! A stand-in portal: a second, independent reading of the protocol, from the portal's side. `demo` and the
//! integration tests run against it, and the property tests ask it what a call and its translation do.
//!
//! - [`reading`] a call as received → what the portal would do (pure)
//! - `address` where a request goes: `urlrewrite.php`, templates
//! - [`server`] the same over HTTP: credentials, headers, a record of what came
//! - [`portal`] what a call does, command by command in a batch; `views` the stored forms, `other` all other methods,
//!   `references` what `$result[…]` stands for, [`outcome`] users and documented errors
//! - [`limit`] the request limit for each source address
//! - [`operation`] the deprecated family and its successors: what is done, whatever it is called
//! - [`php`], [`form`], [`json`], [`multipart`], [`url`] PHP's own readers, compared with PHP itself by a test
//!
//! It uses nothing of [`crate::protocol`] or [`crate::translate`]: two readings that share no code check each other.

mod address;
pub mod answer;
pub mod form;
mod http;
pub mod json;
pub mod limit;
pub mod multipart;
pub mod operation;
mod other;
pub mod outcome;
pub mod php;
pub mod portal;
pub mod reading;
mod references;
pub mod server;
pub mod url;
mod views;

pub use limit::RequestLimit;
pub use operation::{Action, Details, Effect, LeadType, Operation, User, Work};
pub use outcome::SandboxUser;
pub use reading::{PortalConfig, Reading, Received};
pub use server::{Recorded, Sandbox, SandboxConfig};
