//! What the demo's log says as a whole: names for its callers, who still calls what, and a certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalogue::Catalogue;
use crate::cli::failure::Failure;
use crate::cli::log_words::now;
use crate::cli::paint::Paint;
use crate::cli::terminal::{labelled, prose};
use crate::cli::{log_files, report};
use crate::report::output::Done;
use crate::report::period::Period;
use crate::report::rows::{Filter, Report};
use crate::report::suggest::Unnamed;
use crate::report::zero::certificate::{Certificate, LABEL};
use crate::report::zero::{Proof, Question};
use crate::telemetry::callers::Callers;
use crate::telemetry::logging::RulesKnown;
use crate::telemetry::reader::{Line, START, Totals};

/// A deprecated method that the demo does not call.
const UNUSED: &str = "crm.invoice.list";

/// What is shown, and whether it is as it should be.
pub struct Evidence {
    pub text: String,
    pub is_right: bool,
}

/// Reads the log of one run.
pub fn of(log: &Path, paint: Paint) -> Result<Evidence, Failure> {
    let files = [log.to_owned()];
    let read = |take: &mut dyn FnMut(&Line<'_>)| read(&files, take);
    let mut unnamed = Unnamed::new(None);
    let mut since = 0;
    read(&mut |line| {
        unnamed.take(line);
        if &*line.event == START {
            since = line.at().unwrap_or_default();
        }
    })?;
    let suggested = unnamed.suggest(&BTreeMap::new()).text;
    let callers = Callers::parse(&suggested)
        .map_err(|problem| Failure::found(format!("the suggested callers file: {problem}")))?;
    let entry = suggested.split("\n\n").next().unwrap_or_default();

    let mut rows = Report::new(Filter::default(), Some(&callers));
    let lines = read(&mut |line| rows.take(line))?;
    let report = report::table(
        &Done {
            report: &rows,
            period: Period::default(),
            lines,
            now: now(),
        },
        paint,
    );

    let prove = |methods: &[&str]| -> Result<(u8, String), Failure> {
        let mut proof = Proof::new(question(methods, since), Some(&callers));
        let lines = read(&mut |line| proof.take(line))?;
        let verdict = proof.verdict();
        let certificate = Certificate {
            verdict: &verdict,
            lines,
            files: files.len(),
            now: now(),
        };
        let text = labelled(&certificate.text(), LABEL);
        Ok((verdict.status(), text))
    };
    let (used, still) = prove(&[])?;
    let (unused, certificate) = prove(&[UNUSED])?;
    let answer = still.lines().next().unwrap_or_default();
    let title = |text: &str| paint.bold(&prose(text));
    Ok(Evidence {
        text: format!(
            "{}\n{entry}\n\n{}\n{report}\n{}\n{answer}\n\n{}\n{certificate}",
            title(
                "Names for the callers (callers suggest LOG), to append to the callers file; the first of them:"
            ),
            title("Who still calls what (report LOG), with these names:"),
            title("May the proxy go (prove-zero LOG)?"),
            title(&format!(
                "Does nobody call {UNUSED} (prove-zero --method {UNUSED} LOG)? A certificate to keep:"
            )),
        ),
        is_right: (used, unused) == (1, 0),
    })
}

fn read(files: &[PathBuf], take: &mut dyn FnMut(&Line<'_>)) -> Result<Totals, Failure> {
    log_files::read(log_files::open(files)?, take)
}

fn question(methods: &[&str], since: u64) -> Question {
    Question {
        methods: methods.iter().map(ToString::to_string).collect(),
        since,
        until: None,
        replicas: 1,
        instances: Vec::new(),
        allow_unread: false,
        rules: vec![RulesKnown::of(&Catalogue::builtin()).hash],
        now: now(),
    }
}
