//! Standard output of the commands.

use std::io::Write;

use super::failure::Failure;
use super::text::reason;

/// Writes to standard output. A reader that has gone has seen enough; any other trouble is a failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::found(
            format!("cannot write to standard output: {}", reason(&error)),
        )),
        _ => Ok(()),
    }
}
