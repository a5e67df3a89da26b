//! A stretch of time about which a log cannot tell, and why (pure).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::report::output::{counted, moment};

/// A stretch that nobody can vouch for. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    pub from: u64,
    pub to: u64,
    /// Whose; nothing where it is not one instance's.
    pub instance: Option<String>,
    pub why: Why,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// More time than one and a half intervals between two marks.
    Gap,
    /// A later mark has an earlier time.
    Clock,
    /// Counts grew by more or fewer lines than there are.
    Lines { counted: u64, found: u64 },
    /// More or fewer heartbeats than there are.
    Heartbeats,
    /// A count became smaller.
    Backwards,
    /// Counts and lines say different things.
    Counts,
    /// The log could not take lines.
    Dropped(u64),
    /// A start without a stop before it.
    NoStop,
    /// Lines after the last mark of a run that did not stop.
    Unconfirmed,
    /// A run whose start line is missing.
    NoStart,
    /// Lines or marks after a stop.
    AfterStop,
    /// Two runs of one instance at the same time.
    Overlap,
    /// Nothing was heard of the instance any more.
    Silent,
    /// No line of an instance that was asked for.
    Absent,
    /// Fewer instances than asked for looked.
    Few { looked: usize, wanted: usize },
    /// Lines of a version that wrote no heartbeats.
    Old(u64),
    /// No mark at all.
    NoMarks,
    /// The rules of that time are not known to have held the method.
    Rules(String),
    /// Observed uses that no line shows yet.
    Unshown(u64),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap => f.write_str("no heartbeat for more than one and a half intervals"),
            Self::Clock => f.write_str("the clock went back"),
            Self::Lines { counted: lines, found } => write!(
                f,
                "{} {} written and {found} are here: a file or a line is missing, was added or was changed",
                counted(*lines, "line"),
                if *lines == 1 { "was" } else { "were" }
            ),
            Self::Heartbeats => f.write_str("a heartbeat is missing: a file or a line was lost"),
            Self::Backwards => f.write_str("its counts became smaller: the log was changed"),
            Self::Counts => f.write_str("counts and lines say different things: the log was changed"),
            Self::Dropped(lines) => write!(f, "{} could not be written", counted(*lines, "line")),
            Self::NoStop => f.write_str("it started again without a stop line before: killed, or the line is missing"),
            Self::Unconfirmed => f.write_str("no heartbeat or stop confirms the lines of this time"),
            Self::NoStart => f.write_str("the start of the run is not in these files: a file or a line is missing"),
            Self::AfterStop => f.write_str("lines after its stop: the start line of a run is missing"),
            Self::Overlap => f.write_str("two runs of one instance at the same time: give each its own --instance"),
            Self::Silent => f.write_str("no heartbeat and no stop line since"),
            Self::Absent => f.write_str("no line of this instance in these files"),
            Self::Few { looked: 0, wanted: 1 } => f.write_str("nobody looked"),
            Self::Few { looked, wanted } => {
                write!(f, "{looked} of {} looked", counted(*wanted as u64, "instance"))
            }
            Self::Old(lines) => write!(
                f,
                "{} of a version that wrote no heartbeats: nothing tells whether they are all",
                counted(*lines, "line")
            ),
            Self::NoMarks => f.write_str(
                "no start, heartbeat or stop line: the logs are of a version without them, or not the right ones",
            ),
            Self::Rules(rules) => write!(
                f,
                "the proxy ran with rules ({rules}) that are not known to hold the method; name its rule file with --rules"
            ),
            Self::Unshown(uses) => write!(
                f,
                "{} of watched methods were counted and no line shows them yet (hourly sums), or they were lost",
                counted(*uses, "call")
            ),
        }
    }
}

impl Serialize for Hole {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut hole = to.serialize_struct("Hole", 4)?;
        hole.serialize_field("from", &moment(self.from))?;
        hole.serialize_field("to", &moment(self.to))?;
        hole.serialize_field("instance", &self.instance)?;
        hole.serialize_field("why", &self.why.to_string())?;
        hole.end()
    }
}
