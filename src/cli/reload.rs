//! SIGHUP, `POST /-/reload`, `--watch-config`: the configuration is read again, and what can be applied without dropping a connection is, all or nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::config_watch::ConfigWatch;
use super::failure::Failure;
use super::mode_watch::ModeWatch;
use super::settings::{Settings, SettingsSource};
use super::{assemble, rule_files};
use crate::proxy::Shared;

/// What a reload starts from, and what it changes.
pub struct Reload {
    source: SettingsSource,
    /// What the running process was started with.
    started: Settings,
    shared: Arc<Shared>,
    modes: Arc<ModeWatch>,
    /// The files that the configuration was last made of.
    files: Vec<PathBuf>,
    watch: Option<ConfigWatch>,
}

impl Reload {
    pub fn new(source: SettingsSource, started: Settings, shared: Arc<Shared>) -> Self {
        let modes = ModeWatch::begin(Arc::clone(&shared), Timestamp::now());
        let files = files(&source, &started);
        Self {
            watch: started.watch_config.then(|| ConfigWatch::begin(&files)),
            files,
            source,
            started,
            shared,
            modes: Arc::new(modes),
        }
    }

    /// What the threads share, and a reload changes.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Who tells changes of modes, those of a reload too.
    pub fn modes(&self) -> Arc<ModeWatch> {
        Arc::clone(&self.modes)
    }

    /// Whether `--watch-config` asks for a reload now.
    pub fn is_due(&mut self) -> bool {
        let files = &self.files;
        self.watch.as_mut().is_some_and(|watch| watch.look(files))
    }

    /// Reads everything anew, and then applies all of it or nothing; the metrics and the operational log say which. Gives the
    /// options that wait for a restart, or what is wrong.
    pub fn run(&mut self, cause: &'static str) -> Result<Vec<&'static str>, String> {
        if let Some(watch) = &mut self.watch {
            watch.reloads(&self.files);
        }
        let applied = self.apply();
        let metrics = &self.shared.telemetry.metrics;
        metrics.reloaded(applied.is_ok(), SystemTime::now());
        match applied {
            Ok(settings) => {
                let waiting: Vec<_> = self.started.needs_restart(&settings).collect();
                for name in &waiting {
                    tracing::warn!(
                        option = name,
                        "its new value takes effect at the next start"
                    );
                }
                tracing::info!(cause, "the configuration was read again and applied");
                Ok(waiting)
            }
            Err(failure) => {
                tracing::error!(
                    cause,
                    "the configuration was not applied, and all stays as it was: {failure}"
                );
                Err(failure.to_string())
            }
        }
    }

    fn apply(&mut self) -> Result<Settings, Failure> {
        // Everything that can fail comes before the first change; the certificates swap themselves or fail as a whole.
        let settings = self.source.load()?;
        // Also where one of them is wrong or missing: it is tried again once that is put right.
        self.files = files(&self.source, &settings);
        let shared = &self.shared;
        let catalogue = rule_files::catalogue(&settings.rules)?;
        let policy = assemble::policy_of(&settings, &catalogue, Some(&shared.policy.load()))?;
        if let Some(certificates) = &self.shared.certificates {
            certificates.reload().map_err(Failure::usage)?;
            certificates.say_warnings();
            self.shared
                .telemetry
                .metrics
                .set_certificates(certificates.ends());
        }
        let logging = Arc::clone(policy.logging());
        shared
            .telemetry
            .prepare(&logging, policy.catalogue().rules());
        // Rules, modes, names of callers and how watched calls are logged change with this one value.
        self.modes.replace(Arc::new(policy), Timestamp::now());
        shared.telemetry.apply(logging);
        shared.pacing.set(settings.pace);
        Ok(settings)
    }
}

/// What a reload reads, but for certificates, which are watched in any case.
fn files(source: &SettingsSource, settings: &Settings) -> Vec<PathBuf> {
    let named = settings.rules.iter().chain(&settings.callers);
    source.config().into_iter().chain(named).cloned().collect()
}
