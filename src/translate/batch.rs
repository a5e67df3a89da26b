//! The commands of a batch.
use super::{Call, Verdict};
use crate::catalogue::{Catalogue, Mode, Rule};

/// Translates the commands of a batch, each on its own.
pub(super) fn translate(
    _call: &Call<'_>,
    _catalogue: &Catalogue,
    _mode: &dyn Fn(&Rule) -> Mode,
) -> Verdict {
    Verdict {
        outcome: super::Outcome::Untouched,
        uses: Vec::new(),
        batch: true,
    }
}
