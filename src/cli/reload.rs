//! SIGHUP: the configuration is read again, and what can be applied without dropping a connection is, all or nothing.

use super::settings::{Settings, Source};
use super::{Failure, assemble};
use crate::telemetry::Telemetry;

/// What a reload starts from.
pub struct Reload {
    source: Source,
    /// What the running process was started with.
    started: Settings,
}

impl Reload {
    pub fn new(source: Source, started: Settings) -> Self {
        Self { source, started }
    }

    /// Reads everything anew, and then applies all of it or nothing. Gives whether it was applied; the operational log
    /// says the rest.
    pub fn run(&self, telemetry: &Telemetry) -> bool {
        match self.apply(telemetry) {
            Ok(settings) => {
                for name in self.started.needs_restart(&settings) {
                    tracing::warn!(
                        option = name,
                        "its new value takes effect at the next start"
                    );
                }
                tracing::info!("the configuration was read again and applied");
                true
            }
            Err(failure) => {
                tracing::error!(
                    "the configuration was not applied, and all stays as it was: {failure}"
                );
                false
            }
        }
    }

    fn apply(&self, telemetry: &Telemetry) -> Result<Settings, Failure> {
        // Everything that can fail comes before the first change.
        let settings = self.source.load()?;
        let callers = assemble::callers(&settings)?;
        telemetry.set_callers(callers);
        Ok(settings)
    }
}
