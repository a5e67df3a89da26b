//! The rows that entries make: one for each name of the callers file and method, and one for each key without a name (pure).

use std::collections::HashMap;
use std::sync::Arc;

use super::row::Entry;
use super::trend::{DAY, HOUR};
use crate::telemetry::callers::About;
use crate::telemetry::shown::{Behind, Row};

/// So many keys, libraries and addresses are listed of what stands behind a row.
const LISTED: usize = 32;

/// What the callers file says of each name.
pub(super) type AboutNames = HashMap<String, About>;

/// The rows, as they are at `now`, those seen last first.
pub(super) fn rows_of(mut entries: Vec<Arc<Entry>>, about: &AboutNames, now: u64) -> Vec<Row> {
    entries.sort_by(|a, b| {
        let (a, b) = (&a.row, &b.row);
        b.last_seen
            .cmp(&a.last_seen)
            .then_with(|| (&a.method, &a.key, &a.name).cmp(&(&b.method, &b.key, &b.name)))
    });
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut groups: Vec<Vec<&Entry>> = Vec::new();
    for entry in &entries {
        let name = entry.row.name.as_deref();
        let place = name.map(|name| (entry.row.method.as_str(), name));
        match place.and_then(|place| places.get(&place)) {
            Some(&at) => groups[at].push(entry),
            None => {
                if let Some(place) = place {
                    places.insert(place, groups.len());
                }
                groups.push(vec![entry]);
            }
        }
    }
    let rows = groups.iter().map(|group| row_of(group, now));
    rows.map(|mut row| {
        if let Some(about) = row.name.as_ref().and_then(|name| about.get(name)) {
            row.introduce(about, now);
        }
        row
    })
    .collect()
}

/// The row of a group, whose newest entry comes first.
fn row_of(group: &[&Entry], now: u64) -> Row {
    let newest = group[0];
    let mut row = Row {
        days: newest.days.until(now / DAY),
        hours: newest.hours.until(now / HOUR),
        ..newest.row.clone()
    };
    for entry in &group[1..] {
        row.add(&entry.row);
        add(&mut row.days, &entry.days.until(now / DAY));
        add(&mut row.hours, &entry.hours.until(now / HOUR));
    }
    let libraries = distinct(group, |source| source.library());
    let addresses = distinct(group, |source| source.address.as_deref());
    row.let_in = group.iter().any(|entry| entry.is_let_in);
    row.keys = group.len();
    row.libraries = libraries.len();
    row.addresses = addresses.len();
    let listed = |texts: Vec<&str>| texts.into_iter().take(LISTED).map(str::to_owned).collect();
    row.behind = Behind {
        keys: listed(group.iter().map(|entry| entry.row.key.as_str()).collect()),
        libraries: listed(libraries),
        addresses: listed(addresses),
    };
    row
}

fn add(sums: &mut [u32], more: &[u32]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

/// Each text of the sources once, those seen last first.
fn distinct<'e>(
    group: &[&'e Entry],
    text: impl Fn(&'e super::sources::Source) -> Option<&'e str>,
) -> Vec<&'e str> {
    let mut seen: HashMap<&str, u64> = HashMap::new();
    for source in group.iter().flat_map(|entry| entry.sources.iter()) {
        if let Some(text) = text(source) {
            let at = seen.entry(text).or_default();
            *at = source.seen.max(*at);
        }
    }
    let mut texts: Vec<(&str, u64)> = seen.into_iter().collect();
    texts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    texts.into_iter().map(|(text, _)| text).collect()
}
