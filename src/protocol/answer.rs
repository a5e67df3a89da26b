//! An error in the portal's shape, JSON or XML; the code in one that the portal sent (PROTOCOL §4).

/// The format in which a call asked to be answered: the last suffix of its method's name (PROTOCOL §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Xml,
}
