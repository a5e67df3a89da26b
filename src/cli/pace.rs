//! `pace`: plays an access log through the model of the portal's limit, and says who would have waited for how long.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::inputs::cannot_read;
use super::output::print;
use super::paint::{Paint, harmless};
use super::table::{Cell, Table};
use super::values;
use crate::pace::desk::{Desk, Rules};
use crate::pace::play::{self, Arrival};
use crate::pace::queue::Flow;
use crate::pace::{Moment, PortalRate};
use crate::protocol::target::RestPath;
use crate::telemetry::access::PastRequest;
use crate::telemetry::reader::Lines;

const LONG_ABOUT: &str = "\
Shows what the portal's request limit means for your traffic, before you switch pacing on. Plays the calls of an access log \
through the model by which `serve --portal-rate` holds calls back, and says for each caller how many would have waited, for \
how long, and how many would have been refused. It tells callers apart by the log's `flow`; lines of older versions have \
none, so there it goes by user, address and agent.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy pace --access-log /var/log/b24-migration-proxy/access.jsonl --portal-rate cloud
  b24-migration-proxy pace --access-log access.log.2.gz access.log.1 access.log --portal-rate 250:5 --sources 2";

pub fn command() -> Command {
    Command::new("pace")
        .about("Say from an access log who would wait for the portal's limit")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .arg(
            Arg::new("access-log")
                .long("access-log")
                .value_name("FILE")
                .num_args(1..)
                .action(ArgAction::Append)
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The access log's files, in any order, gzipped or not; - is standard input"),
        )
        .arg(
            Arg::new("portal-rate")
                .long("portal-rate")
                .value_name("RATE")
                .required(true)
                .help("The portal's limit: cloud, enterprise or DEPTH:PER_SECOND"),
        )
        .arg(
            Arg::new("sources")
                .long("sources")
                .value_name("COUNT")
                .default_value("1")
                .help("From how many addresses calls would go (--upstream-source)"),
        )
        .arg(
            Arg::new("queue-timeout")
                .long("queue-timeout")
                .value_name("TIME")
                .default_value("5s")
                .help("How long a call waits at most"),
        )
        .arg(
            Arg::new("queue-calls")
                .long("queue-calls")
                .value_name("COUNT")
                .default_value("1000")
                .help("How many calls wait at most"),
        )
        .arg(
            Arg::new("rest-path")
                .long("rest-path")
                .value_name("PREFIX")
                .default_value("/rest/")
                .help("Where the portal mounts its REST addresses"),
        )
        .arg(
            Arg::new("top")
                .long("top")
                .value_name("COUNT")
                .default_value("20")
                .help("How many callers are listed"),
        )
}

pub fn run(matches: &ArgMatches) -> Exit {
    let asked = Asked::read(matches)?;
    let mut past = Past::new(asked.rest_path.clone());
    for path in matches
        .get_many::<PathBuf>("access-log")
        .unwrap_or_default()
    {
        past.read_file(path)?;
    }
    if past.arrivals.is_empty() {
        return Err(Failure::found(
            "the access log holds no REST call; is it the proxy's own, written with --access-log?",
        ));
    }
    print(&past.played(&asked))?;
    Ok(0)
}

struct Asked {
    rules: Rules,
    rate: String,
    sources: usize,
    rest_path: RestPath,
    top: usize,
}

impl Asked {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |name: &str| {
            matches
                .get_one::<String>(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        let wrong =
            |name: &'static str| move |why: String| Failure::usage(format!("--{name}: {why}"));
        let rate = PortalRate::parse(text("portal-rate")).map_err(wrong("portal-rate"))?;
        if !matches!(rate, PortalRate::Fixed(_)) {
            return Err(Failure::usage(
                "--portal-rate: a log does not show what the portal would have refused, which auto follows; give a limit, as cloud",
            ));
        }
        Ok(Asked {
            rules: Rules {
                rate,
                timeout: values::time_limit(text("queue-timeout"))
                    .map_err(wrong("queue-timeout"))?,
                calls: values::count(text("queue-calls")).map_err(wrong("queue-calls"))?,
            },
            rate: text("portal-rate").to_owned(),
            sources: values::count(text("sources")).map_err(wrong("sources"))?,
            rest_path: RestPath::new(text("rest-path")).map_err(wrong("rest-path"))?,
            top: values::count(text("top")).map_err(wrong("top"))?,
        })
    }
}

/// The calls of a log.
struct Past {
    rest_path: RestPath,
    /// Milliseconds since 1970, and who called.
    arrivals: Vec<(i64, Flow)>,
    flows: HashMap<Flow, Caller>,
    keys: RandomState,
    /// Lines that are no line of an access log.
    foreign: u64,
    /// Calls without a `flow`.
    old: u64,
}

/// A caller as its first line shows it.
struct Caller {
    flow: Option<String>,
    user: Option<String>,
    address: Option<String>,
    agent: Option<String>,
}

impl Past {
    fn new(rest_path: RestPath) -> Self {
        Past {
            rest_path,
            arrivals: Vec::new(),
            flows: HashMap::new(),
            keys: RandomState::new(),
            foreign: 0,
            old: 0,
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let unreadable = |error: std::io::Error| cannot_read("access log", path, &error);
        let raw: Box<dyn Read> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(path).map_err(unreadable)?)
        };
        let mut lines = Lines::decoded(raw).map_err(unreadable)?;
        while let Some(line) = lines.next_line().map_err(unreadable)? {
            self.take(line);
        }
        self.foreign += lines.too_long;
        Ok(())
    }

    fn take(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some((request, at)) = PastRequest::read(line).and_then(|r| r.at().map(|at| (r, at)))
        else {
            self.foreign += 1;
            return;
        };
        if !request.was_for_the_portal() || !self.is_rest(&request) {
            return;
        }
        let user = self.user(&request.path).map(str::to_owned);
        let flow = match &request.flow {
            Some(flow) => self.keys.hash_one(flow),
            None => {
                self.old += 1;
                self.keys
                    .hash_one((&user, &request.address, &request.user_agent))
            }
        };
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        self.flows.entry(flow).or_insert_with(|| Caller {
            flow: owned(&request.flow),
            user: user.clone(),
            address: owned(&request.address),
            agent: owned(&request.user_agent),
        });
        self.arrivals.push((at.as_millisecond(), flow));
    }

    /// Newer lines say it by their `flow`; of older ones the path does.
    fn is_rest(&self, request: &PastRequest<'_>) -> bool {
        request.flow.is_some()
            || request.path.starts_with(self.rest_path.as_str())
            || request.path == "/bitrix/services/rest/index.php"
    }

    /// The user in a webhook's masked path, `/rest/USER/***/METHOD`.
    fn user<'p>(&self, path: &'p str) -> Option<&'p str> {
        let under = path.strip_prefix(self.rest_path.as_str())?;
        let under = under.strip_prefix("api/").unwrap_or(under);
        let (user, rest) = under.split_once('/')?;
        rest.starts_with("***").then_some(user)
    }

    fn played(mut self, asked: &Asked) -> String {
        self.arrivals.sort_unstable();
        let (first, last) = match (self.arrivals.first(), self.arrivals.last()) {
            (Some((first, _)), Some((last, _))) => (*first, *last),
            _ => (0, 0),
        };
        let since = |at: i64| Moment::from_millis(u64::try_from(at - first).unwrap_or(0));
        let arrivals: Vec<Arrival> = self
            .arrivals
            .iter()
            .map(|&(at, flow)| Arrival {
                at: since(at),
                flow,
            })
            .collect();
        let desk = Desk::new(asked.rules, asked.sources, Moment::ZERO);
        let mut flows: Vec<(Flow, play::Waits)> = play::play(desk, &arrivals).into_iter().collect();
        flows.sort_by_key(|(flow, o)| (std::cmp::Reverse((o.refused, o.waits, o.calls)), *flow));
        let sum = |of: fn(&play::Waits) -> u64| flows.iter().map(|(_, o)| of(o)).sum::<u64>();
        let (calls, waited, refused) = (sum(|o| o.calls), sum(|o| o.waited), sum(|o| o.refused));
        let longest = flows
            .iter()
            .map(|(_, o)| o.longest)
            .max()
            .unwrap_or_default();
        let mut text = format!(
            "{calls} calls of {} callers in {}, at {} from {}:\n  {} would have gone at once, {waited} would have waited ({} at most), {refused} would have been refused (503).\n",
            flows.len(),
            shown(since(last)),
            asked.rate,
            if asked.sources == 1 {
                "one address".to_owned()
            } else {
                format!("{} addresses", asked.sources)
            },
            calls - waited - refused,
            shown(longest),
        );
        if self.old > 0 {
            text += &format!(
                "  {} of these calls are from older lines without a flow: told apart by user, address and agent.\n",
                self.old
            );
        }
        if self.foreign > 0 {
            text += &format!(
                "  {} lines are no lines of an access log and were passed over.\n",
                self.foreign
            );
        }
        text.push('\n');
        text += &self.table(&flows, asked.top);
        text
    }

    /// Who waited or was refused most.
    fn table(&self, flows: &[(Flow, play::Waits)], top: usize) -> String {
        let mut table = Table::new(&[
            "flow",
            "user",
            "address",
            "calls",
            "waited",
            "mean wait",
            "longest",
            "refused",
            "agent",
        ]);
        for (flow, outcome) in flows.iter().take(top) {
            let Some(caller) = self.flows.get(flow) else {
                continue;
            };
            let text =
                |text: &Option<String>| Cell::plain(harmless(text.as_deref().unwrap_or("-")));
            let mean = outcome.waits / u32::try_from(outcome.waited.max(1)).unwrap_or(u32::MAX);
            table.row(vec![
                text(&caller.flow),
                text(&caller.user),
                text(&caller.address),
                Cell::plain(outcome.calls.to_string()),
                Cell::plain(outcome.waited.to_string()),
                Cell::plain(shown(mean)),
                Cell::plain(shown(outcome.longest)),
                Cell::plain(outcome.refused.to_string()),
                text(
                    &caller
                        .agent
                        .as_ref()
                        .map(|agent| agent.chars().take(40).collect()),
                ),
            ]);
        }
        let mut text = table.render(Paint::for_stdout());
        if flows.len() > top {
            text += &format!(
                "and {} callers more; --top lists more of them\n",
                flows.len() - top
            );
        }
        text
    }
}

/// A time as people read it.
fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.0005 => "0s".to_owned(),
        seconds if seconds < 1.0 => format!("{:.0}ms", seconds * 1000.0),
        seconds if seconds < 120.0 => format!("{seconds:.1}s"),
        seconds if seconds < 7200.0 => format!("{:.0}m", seconds / 60.0),
        seconds => format!("{:.1}h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ["x".repeat(5 << 20), "{}\n\n".into()].concat()).unwrap();
        let mut past = Past::new(RestPath::default());
        past.read_file(file.path()).unwrap();
        assert_eq!((past.foreign, past.arrivals.len()), (1, 0));
    }
}
