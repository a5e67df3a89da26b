//! What lies in `deploy/` does what it says, by the programs that will read it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The exposure that `systemd-analyze security` may give the unit: 0 is nothing, 10 everything.
const EXPOSURE: f64 = 1.3;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

#[test]
fn the_unit_leaves_the_proxy_nearly_nothing_to_misuse() {
    let unit = deploy("b24-migration-proxy.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&unit)
        .output();
    let Ok(output) = output else {
        println!("skipped: systemd-analyze is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let exposure = text
        .lines()
        .find_map(|line| {
            line.split_once("Overall exposure level for ")?
                .1
                .split_once(": ")
        })
        .and_then(|(_, level)| level.split(' ').next()?.parse::<f64>().ok());
    let Some(exposure) = exposure else {
        println!(
            "skipped: this systemd-analyze does not judge a file: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    };
    assert!(exposure <= EXPOSURE, "{text}");
}
