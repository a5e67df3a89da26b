//! What the core may ask of a request's head, however the data path keeps it.

/// The fields of a request's head. Names are asked for in lower case and compared without regard to case; values are the
/// bytes as they came, without surrounding blanks.
pub trait Fields {
    /// The first field of that name.
    fn get(&self, lower_case_name: &str) -> Option<&[u8]>;

    /// All fields of that name, in the order in which they came.
    fn all<'a>(&'a self, lower_case_name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a>;
}

/// Pairs of name and value, for tests and for calls that never were a request (`translate` on the command line).
impl Fields for Vec<(&str, &[u8])> {
    fn get(&self, lower_case_name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(lower_case_name))
            .map(|(_, value)| *value)
    }

    fn all<'a>(&'a self, lower_case_name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        let same = move |(name, _): &&(&str, &[u8])| name.eq_ignore_ascii_case(lower_case_name);
        Box::new(self.iter().filter(same).map(|(_, value)| *value))
    }
}
