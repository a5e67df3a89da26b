//! Clients over HTTP/2: nghttp2's h2load, on the load's core.
use crate::load::{Pace, Ran};
use crate::traffic::{FIELDS, MEDIA, Traffic};
use std::fs;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes so many calls on this many connections and streams; each must be answered with status 200, and all bodies
/// together must be as long as they have to be.
///
/// # Errors
/// It cannot be started, or an answer was not as it must be.
pub fn run(
    folder: &Path,
    address: SocketAddr,
    traffic: &Traffic,
    pace: Pace,
    calls: usize,
) -> Result<Ran> {
    let (body, log) = (folder.join("h2load.body"), folder.join("h2load.log"));
    fs::write(&body, &traffic.body)?;
    let _ = fs::remove_file(&log);
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "h2load", "-t", "1"]);
    command.args(["-n", &calls.to_string()]);
    command.args(["-c", &pace.connections.to_string()]);
    command.args(["-m", &pace.streams.unwrap_or(1).to_string()]);
    for (name, value) in FIELDS.iter().chain(&[("Content-Type", MEDIA)]) {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    command.arg("-d").arg(&body);
    command.arg(format!("--log-file={}", log.display()));
    command.arg(format!("https://{address}{}", traffic.target));
    let begun = Instant::now();
    let output = command.output()?;
    let time = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = |what: &str| Error::other(format!("h2load: {what}: {said}"));
    if !output.status.success() {
        return Err(wrong("did not end well"));
    }
    if !said.contains("Application protocol: h2") {
        return Err(wrong("not over HTTP/2"));
    }
    // traffic: 2.64MB (2764800) total, 37.50KB (38400) headers (space savings 90%), 2.50MB (2621440) data
    let data = said
        .lines()
        .find(|line| line.starts_with("traffic: "))
        .and_then(|line| {
            line.rsplit_once(" data")?
                .0
                .rsplit_once('(')?
                .1
                .strip_suffix(')')
        })
        .and_then(|bytes| bytes.parse::<usize>().ok());
    if data != Some(calls * traffic.answer.len()) {
        return Err(wrong("bodies of another length"));
    }
    // Columns: when it began, its status, how many microseconds it took.
    let mut latencies = Vec::new();
    for line in fs::read_to_string(&log)?.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, "200", time, ..] = columns.as_slice() else {
            return Err(wrong(line));
        };
        let time = time.parse().map_err(|_| wrong(line))?;
        latencies.push(Duration::from_micros(time));
    }
    if latencies.len() != calls {
        return Err(wrong("not all calls were answered"));
    }
    latencies.sort_unstable();
    Ok(Ran {
        requests: calls,
        time,
        latencies,
    })
}
