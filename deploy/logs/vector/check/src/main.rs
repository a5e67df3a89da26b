//! `vector-check REMAP < LOG`: what the remap makes of each line, a line each; nothing for a line that it drops.

use std::collections::BTreeMap;
use std::io::{BufRead, stdin};
use std::process::exit;

use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{TargetValue, TimeZone, compile};
use vrl::diagnostic::Formatter;
use vrl::value::{Secrets, Value};

fn main() {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| fail("name the remap"));
    let source =
        std::fs::read_to_string(&path).unwrap_or_else(|error| fail(&format!("{path}: {error}")));
    let compiled = compile(&source, &vrl::stdlib::all())
        .unwrap_or_else(|wrong| fail(&Formatter::new(&source, wrong).to_string()));
    if !compiled.warnings.is_empty() {
        fail(&Formatter::new(&source, compiled.warnings).to_string());
    }
    let mut runtime = Runtime::default();
    for line in stdin().lock().split(b'\n') {
        let line = line.unwrap_or_else(|error| fail(&error.to_string()));
        let event = BTreeMap::from([(
            "message".into(),
            Value::from(String::from_utf8_lossy(&line).as_ref()),
        )]);
        let mut target = TargetValue {
            value: Value::Object(event.into_iter().collect()),
            metadata: Value::Object(BTreeMap::new().into_iter().collect()),
            secrets: Secrets::default(),
        };
        match runtime.resolve(&mut target, &compiled.program, &TimeZone::default()) {
            Ok(_) => println!(
                "{}",
                serde_json::to_string(&target.value).unwrap_or_default()
            ),
            Err(Terminate::Abort(_)) => {}
            Err(why) => fail(&why.to_string()),
        }
        runtime.clear();
    }
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    exit(1)
}
