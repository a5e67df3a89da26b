//! What the owner of a caller is to change, in words, tables and calls (pure): the status page, the owner's letter,
//! `rules METHOD`, `scan` and the API speak from here.

mod html;
pub mod language;
mod letter;
mod markdown;
pub mod markup;
mod method;
mod parameters;
mod seen;
mod snippets;
mod syntax;
mod table;
mod text;

pub use language::Language;
pub use letter::Letter;
pub use method::Advice;
pub use seen::{Behind, Seen};
pub use snippets::Snippet;
pub use table::Line;
pub use text::{clean, is_active};
