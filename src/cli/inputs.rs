//! Small files that a setting names: the callers file, the fingerprint key, the admin token.

use std::path::Path;

use super::failure::Failure;
use super::text::reason;
use crate::protocol::Secret;
use crate::proxy::pem::is_a_place;
use crate::telemetry::caller::Fingerprints;
use crate::telemetry::callers::Callers;

/// The shortest fingerprint key that is taken: 128 bits.
const LEAST_KEY: usize = 16;

/// The shortest admin token that is taken: 96 bits, written in hexadecimal digits or better.
const LEAST_TOKEN: usize = 16;

/// Reads the fingerprint key; the fingerprints are hashes under it.
pub fn fingerprints(path: &Path) -> Result<Fingerprints, Failure> {
    let key = read("fingerprint key", path)?;
    long_enough("fingerprint key", path, key.trim_ascii().len(), LEAST_KEY)?;
    Ok(Fingerprints::new(&key))
}

/// Reads the callers file.
pub fn callers(path: &Path) -> Result<Callers, Failure> {
    let text = read_text("callers file", path)?;
    Callers::parse(&text).map_err(|why| Failure::usage(format!("{}:{why}", path.display())))
}

/// Reads the admin token.
pub fn token(path: &Path) -> Result<Secret<'static>, Failure> {
    let text = read_text("admin token", path)?;
    let token = text.trim();
    long_enough("admin token", path, token.len(), LEAST_TOKEN)?;
    Ok(Secret::new(token.to_owned()))
}

/// Reads the password of the rate store.
pub fn store_password(path: &Path) -> Result<Secret<'static>, Failure> {
    let text = read_text("rate store's password", path)?;
    let password = text.trim_end_matches(['\r', '\n']);
    long_enough_password(path, password)?;
    Ok(Secret::new(password.to_owned()))
}

fn long_enough_password(path: &Path, password: &str) -> Result<(), Failure> {
    if !password.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the rate store's password file {} is empty; write the password into it",
        path.display()
    )))
}

fn long_enough(what: &str, path: &Path, length: usize, least: usize) -> Result<(), Failure> {
    if length >= least {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the {what} {} is shorter than {least} bytes and could be guessed; make one with: openssl rand -hex 32",
        path.display()
    )))
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| unreadable(what, path, &error))
}

fn read_text(what: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unreadable(what, path, &error))
}

/// The failure for a file with or for secrets that cannot be read. Its name is repeated only where it looks like one: people
/// paste the secret itself in place of the file that holds it.
pub fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    if is_a_place(path) {
        return cannot_read(what, path, error);
    }
    let reason = reason(error);
    Failure::usage(format!(
        "cannot read the {what}: {reason}; give the path of its file (what was given is not repeated, for it may be a \
         secret)"
    ))
}

/// The failure for a file that cannot be read and whose name is no secret.
pub fn cannot_read(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let (path, reason) = (path.display(), reason(error));
    Failure::usage(format!(
        "cannot read the {what} {path}: {reason}; check its name and who may read it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_token_is_refused_without_showing_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " short1234\n").unwrap();
        let said = token(file.path()).unwrap_err().to_string();
        assert!(
            said.contains("shorter than 16") && !said.contains("short1234"),
            "{said}"
        );
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        assert_eq!(token(file.path()).unwrap().expose(), "0123456789abcdef");
        std::fs::write(file.path(), b"s3cr3t\xff").unwrap();
        let said = token(file.path()).unwrap_err().to_string();
        assert!(!said.contains("s3cr3t"), "{said}");
    }

    #[test]
    fn a_token_that_was_given_in_place_of_its_file_is_not_repeated() {
        for pasted in [
            "S3cretAdminTok3n",
            "S3cret/Admin+Tok3n=",
            "/S3cretAdminTok3n",
            "S3cret.Admin.Tok3n",
            "./S3cretAdminTok3n/\n",
        ] {
            let said = token(Path::new(pasted)).unwrap_err().to_string();
            assert!(
                said.contains("cannot read the admin token") && !said.contains("S3cret"),
                "{said}"
            );
        }
        let key = Path::new("MC4CAQAwBQYDK2VwBCIEIPzZ3n4yBSDWc/uG6mgz");
        let config = super::super::file::File::read(key).unwrap_err();
        let rules = super::super::rule_files::read_file(key).unwrap_err();
        for said in [config.to_string(), rules.to_string()] {
            assert!(!said.contains("MC4C"), "{said}");
        }
        let said = token(Path::new("/etc/no-such-token")).unwrap_err();
        assert!(said.to_string().contains("/etc/no-such-token"), "{said}");
    }
}
