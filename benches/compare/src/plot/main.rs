//! Makes pictures and tables of what `compare --growth` has measured.
//!
//! `plot FILE.json FOLDER DOCUMENT.md` writes `FOLDER/NAME.svg` for each series and puts the tables between the marks in the
//! document.
mod chart;
mod measured;

use chart::{Axis, Chart, Line};
use measured::{Growth, Series};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const BEGIN: &str = "<!-- growth: written by benches/compare.sh --growth -->";
const END: &str = "<!-- end of growth -->";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [file, folder, document] = arguments.as_slice() else {
        eprintln!("usage: plot FILE.json FOLDER DOCUMENT.md");
        return ExitCode::from(2);
    };
    match plot(file, folder, document) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plot(file: &Path, folder: &Path, document: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let growth = Growth::read(&std::fs::read_to_string(file)?)?;
    let mut text = format!("{}; median of the rounds.\n", growth.about);
    for series in &growth.series {
        let name = format!("{}.svg", series.name);
        std::fs::write(folder.join(&name), picture(series).svg())?;
        let place = folder.file_name().unwrap_or_default().to_string_lossy();
        let title = &series.title;
        writeln!(
            text,
            "\n### {title}\n\n![{title}]({place}/{name})\n\n{}",
            table(series)
        )?;
    }
    let before = std::fs::read_to_string(document)?;
    let (head, rest) = before
        .split_once(BEGIN)
        .ok_or(format!("no {BEGIN} in the document"))?;
    let (_, tail) = rest
        .split_once(END)
        .ok_or(format!("no {END} in the document"))?;
    std::fs::write(
        document,
        format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", text.trim_end()),
    )?;
    Ok(())
}

/// CPU time of each candidate over what grows.
fn picture(series: &Series) -> Chart {
    let lines = series
        .candidates()
        .into_iter()
        .map(|candidate| Line {
            name: candidate.clone(),
            look: look(&candidate),
            points: series
                .of(&candidate)
                .map(|point| (point.size, point.cpu, point.cpu_range))
                .collect(),
        })
        .collect();
    Chart {
        title: series.title.clone(),
        x: Axis {
            label: series.grows.clone(),
            bytes: series.grows == "bytes",
        },
        y: "CPU µs a call".into(),
        lines,
    }
}

/// A candidate looks the same in all pictures.
fn look(candidate: &str) -> usize {
    match candidate {
        "ours" => 0,
        "nginx" => 1,
        "haproxy" => 2,
        _ => 3,
    }
}

fn table(series: &Series) -> String {
    let candidates = series.candidates();
    let mut head = format!("| {} |", series.grows);
    let mut rule = String::from("|--:|");
    for candidate in &candidates {
        head += &format!(" {candidate}, CPU µs |");
        rule += "--:|";
    }
    for peer in candidates.iter().skip(1) {
        head += &format!(" ours ÷ {peer} |");
        rule += "--:|";
    }
    head += " ours, p50 ms |";
    rule += "--:|";
    let mut out = format!("{head}\n{rule}");
    for size in series.sizes() {
        let at = |candidate: &str| series.of(candidate).find(|point| point.size == size);
        let shown = if series.grows == "bytes" {
            chart::bytes(size)
        } else {
            format!("{size}")
        };
        out += &format!("\n| {shown} |");
        for candidate in &candidates {
            out += &at(candidate).map_or(" |".into(), |point| format!(" {} |", figure(point.cpu)));
        }
        let ours = at("ours");
        for peer in candidates.iter().skip(1) {
            let ratio = ours.zip(at(peer)).map(|(ours, peer)| ours.cpu / peer.cpu);
            out += &ratio.map_or(" |".into(), |ratio| format!(" {ratio:.2} |"));
        }
        out += &ours.map_or(" |".into(), |ours| format!(" {:.3} |", ours.median));
    }
    out
}

fn figure(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
