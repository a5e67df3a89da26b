//! The pure core, compiled from the product's own files and nothing else, and the calls that it is measured on.
//!
//! That it compiles shows that the core needs no runtime, socket or clock.

// What the core offers the data path, nobody calls here.
#[allow(dead_code)]
#[path = "../../src/catalogue/mod.rs"]
pub mod catalogue;
#[path = "../../src/nearest.rs"]
mod nearest;
#[allow(dead_code)]
#[path = "../../src/places.rs"]
mod places;
#[allow(dead_code)]
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;
#[allow(dead_code)]
#[path = "../../src/translate/mod.rs"]
pub mod translate;

mod golden;
mod grown;

pub use golden::{golden, golden_of};
pub use grown::{Grown, SIZES, batch_of, grown};

use catalogue::{Catalogue, Mode};
use protocol::target::{RestPath, place};
use translate::{Call, Intake, Verdict};

/// A request to measure, with the mode that all rules are in.
pub struct Request {
    /// What it is, as a path: `lead-reset/json-…`.
    pub name: String,
    /// The HTTP method.
    pub verb: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// The `Content-Type`.
    pub content_type: Option<Vec<u8>>,
    /// The `Content-Encoding`.
    pub content_encoding: Option<Vec<u8>>,
    /// The body.
    pub body: Vec<u8>,
    /// What is done to deprecated calls.
    pub mode: Mode,
}

impl Request {
    /// A `POST` in mode rewrite.
    pub fn post(
        name: impl Into<String>,
        method: &str,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            name: name.into(),
            verb: b"POST".to_vec(),
            target: format!("/rest/1/abcdef0123456789/{method}.json").into_bytes(),
            content_type: Some(content_type.into()),
            content_encoding: None,
            body: body.into(),
            mode: Mode::Rewrite,
        }
    }

    /// All that the core does for this request: the head decides, and the body is translated where it has to be.
    /// `None` for one that is forwarded unread.
    pub fn run(&self, catalogue: &Catalogue, rest: &RestPath) -> Option<Verdict> {
        let made = protocol::urlrewrite::made(&self.target);
        debug_assert!(made.is_none(), "an address in another one is not measured");
        let place = place(&self.target, rest);
        let mode = |_: &catalogue::Rule| self.mode;
        match translate::intake(&self.verb, &place, catalogue, &mode) {
            Intake::Stream | Intake::Observe(_) => None,
            Intake::Head | Intake::Body => {
                let call = Call {
                    verb: &self.verb,
                    target: &self.target,
                    place: &place,
                    content_type: self.content_type.as_deref(),
                    content_encoding: self.content_encoding.as_deref(),
                    body: &self.body,
                    doubt: None,
                };
                Some(translate::translate(&call, catalogue, &mode))
            }
        }
    }
}
