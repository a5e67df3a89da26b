//! A stand-in portal: a second, independent reading of the protocol, from the portal's side. `demo` and the
//! integration tests run against it, and the property tests ask it what a call and its translation do.
//!
//! - [`reading`] a call as received → what the portal would do (pure)
//! - [`operation`] the deprecated family and its successors: what is done, whatever it is called
//! - [`php`], [`form`], [`json`], [`multipart`], [`url`] PHP's own readers, compared with PHP itself by a test
//!
//! It uses nothing of [`crate::protocol`] or [`crate::translate`]: two readings that share no code check each other.

pub mod form;
pub mod json;
pub mod multipart;
pub mod operation;
pub mod php;
pub mod reading;
pub mod url;

pub use operation::{Action, Details, Effect, LeadType, Operation, User, Work};
pub use reading::{PortalConfig, Reading, Received};
