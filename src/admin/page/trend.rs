//! Trends as inline SVG: a bar for each day, and the month as a strip of good and bad days.

use std::fmt::Write;

use super::html::counted;

/// Width of a bar and of the gap behind it.
const STEP: usize = 4;
const HEIGHT: u64 = 24;

/// Bars, oldest first; a day without a call is a dot on the ground, so that one can count.
pub(super) fn bars(days: &[u64]) -> String {
    let most = days.iter().copied().max().unwrap_or(0);
    let total: u64 = days.iter().sum();
    let label = format!(
        "{} in {} days, at most {} a day, today {}",
        counted(total, "call", "calls"),
        days.len(),
        most,
        days.last().copied().unwrap_or(0)
    );
    let mut svg = format!(
        "<svg class=trend preserveAspectRatio=xMinYMid viewBox=\"0 0 {} {HEIGHT}\" role=img aria-label=\"{label}\"><title>{label}</title>",
        days.len() * STEP
    );
    for (at, &calls) in days.iter().enumerate() {
        // A day with one call among days with thousands is still seen.
        let height = match calls {
            0 => 1,
            calls => 3 + (u128::from(calls) * u128::from(HEIGHT - 3) / u128::from(most)) as u64,
        };
        let class = if calls == 0 { " class=none" } else { "" };
        let _ = write!(
            svg,
            "<rect{class} x={} y={} width={} height={height} rx=.5 />",
            at * STEP,
            HEIGHT - height.min(HEIGHT),
            STEP - 1
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The last days as squares: clear of calls, not clear, not yet known. `known` is for how many of them uses are known.
pub(super) fn strip(days: &[u64], known: usize) -> String {
    let clear = days
        .iter()
        .rev()
        .take(known)
        .filter(|&&calls| calls == 0)
        .count();
    let label = format!(
        "Of the last {} days {} without a deprecated call",
        days.len(),
        counted(clear as u64, "was", "were")
    );
    let mut svg = format!(
        "<svg class=strip viewBox=\"0 0 {} 10\" role=img aria-label=\"{label}\"><title>{label}</title>",
        days.len() * 10
    );
    for (at, &calls) in days.iter().enumerate() {
        let class = match calls {
            _ if days.len() - at > known => "unknown",
            0 => "clear",
            _ => "used",
        };
        let _ = write!(
            svg,
            "<rect class={class} x={} y=1 width=8 height=8 rx=2 />",
            at * 10 + 1
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_reach_the_top_at_the_most_and_the_ground_at_none() {
        let svg = bars(&[0, 1, 1000]);
        assert!(
            svg.contains("class=none x=0 y=23 width=3 height=1"),
            "{svg}"
        );
        assert!(svg.contains("x=4 y=21 width=3 height=3"), "{svg}");
        assert!(svg.contains("x=8 y=0 width=3 height=24"), "{svg}");
        assert!(bars(&[]).contains("0 calls in 0 days"));
        assert!(bars(&[u64::MAX]).contains("height=24"));
    }

    #[test]
    fn days_before_the_first_look_are_unknown() {
        let svg = strip(&[0, 0, 5], 2);
        assert!(svg.contains("class=unknown x=1 "), "{svg}");
        assert!(svg.contains("class=clear x=11 "), "{svg}");
        assert!(svg.contains("class=used x=21 "), "{svg}");
    }
}
