use super::*;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

fn event(minute: u32, method: &str) -> String {
    format!(
        "{{\"schema\":1,\"timestamp\":\"2026-11-26T{:02}:{:02}:00.000Z\",\"event\":\"deprecated_call\",\"method\":\"{method}\"}}\n",
        minute / 60,
        minute % 60
    )
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn methods(paths: &[PathBuf]) -> Result<(Vec<String>, Totals), Trouble> {
    read(Reader::open(paths)?)
}

fn read(reader: Reader<'_>) -> Result<(Vec<String>, Totals), Trouble> {
    let mut methods = Vec::new();
    let totals = reader.read(|line| methods.push(line.method.to_string()))?;
    Ok((methods, totals))
}

fn totals(read: u64, events: u64, skipped: u64, bytes: usize) -> Totals {
    Totals {
        read,
        events,
        skipped,
        bytes: bytes as u64,
    }
}

#[test]
fn files_are_read_in_the_order_of_their_first_event_not_of_their_names() {
    let folder = Folder::new();
    let (old, middle, new) = (event(1, "a"), event(2, "b"), event(3, "c"));
    let paths = [
        folder.write("a", format!("torn\n{new}")),
        folder.write("b.gz", gzipped(&middle)),
        folder.write("c", format!("\n{old}")),
    ];
    let (read, sums) = methods(&paths).unwrap();
    assert_eq!(read, ["a", "b", "c"]);
    let bytes = old.len() + middle.len() + new.len() + 6;
    assert_eq!(sums, totals(4, 3, 1, bytes));
}

#[test]
fn gzip_is_told_by_its_bytes_and_may_have_several_members() {
    let folder = Folder::new();
    let two = [gzipped(&event(1, "a")), gzipped(&event(2, "b"))].concat();
    let plain = folder.write("plain.gz", event(3, "c"));
    let (read, _) = methods(&[folder.write("packed", two), plain]).unwrap();
    assert_eq!(read, ["a", "b", "c"]);
}

#[test]
fn a_compressed_file_that_is_cut_short_is_an_error() {
    let folder = Folder::new();
    let many: String = (0..2000)
        .map(|n| event(n % 1440, &format!("m{n}")))
        .collect();
    let packed = gzipped(&many);
    let path = folder.write("cut.gz", &packed[..packed.len() / 2]);
    assert!(matches!(methods(&[path]), Err(Trouble::Io(..))));
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let folder = Folder::new();
    let path = folder.write("a", event(1, "a"));
    let link = folder.0.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (read, _) = methods(&[path.clone(), path, link]).unwrap();
    assert_eq!(read, ["a"]);
}

#[test]
fn a_file_without_any_event_is_an_error_and_an_empty_one_is_not() {
    let folder = Folder::new();
    let good = folder.write("good", event(1, "a"));
    let empty = folder.write("empty", "");
    let blank = folder.write("blank", "\n \n");
    assert_eq!(methods(&[empty, good.clone(), blank]).unwrap().0, ["a"]);
    let foreign = folder.write("foreign", "a\nb\n{}");
    let said = methods(&[good, foreign]).unwrap_err().to_string();
    assert!(
        said.ends_with("foreign is not a deprecation log: of 3 lines none is an event"),
        "{said}"
    );
    let missing = methods(&[folder.0.path().join("nowhere")])
        .unwrap_err()
        .to_string();
    assert!(
        missing.ends_with("nowhere: no such file or directory"),
        "{missing}"
    );
    let is_a_folder = methods(&[folder.0.path().to_owned()])
        .unwrap_err()
        .to_string();
    assert!(is_a_folder.ends_with(": is a directory"), "{is_a_folder}");
}

#[test]
fn a_pipe_is_read_whole_though_its_beginning_was_looked_at() {
    let folder = Folder::new();
    for packed in [false, true] {
        let many: String = (0..5000)
            .map(|n| event(n % 1440, &format!("m{n}")))
            .collect();
        let bytes = if packed {
            gzipped(&many)
        } else {
            many.into_bytes()
        };
        let path = folder.0.path().join(format!("pipe{packed}"));
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        let to = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(to, bytes).unwrap());
        let (read, sums) = methods(&[path]).unwrap();
        writer.join().unwrap();
        assert_eq!((read.len(), sums.skipped), (5000, 0), "{packed}");
        assert_eq!(read.last().map(String::as_str), Some("m4999"));
    }
}

#[test]
fn a_line_that_is_too_long_is_counted_and_passed_over() {
    let folder = Folder::new();
    let long = "x".repeat(3 * LONGEST_LINE);
    let text = format!("{}{long}\n{}{long}", event(1, "a"), event(2, "b"));
    let (read, sums) = methods(&[folder.write("a", text)]).unwrap();
    assert_eq!(read, ["a", "b"]);
    assert_eq!((sums.read, sums.events, sums.skipped), (4, 2, 2));
}

#[test]
fn what_lies_outside_the_period_is_counted_and_not_handed_on() {
    let folder = Folder::new();
    let at = |text: &str| json::read_timestamp(text);
    // A shipper may have put its own field first: such a line is read whole.
    let shipped = event(3, "d").replacen('{', "{\"host\":\"a\",", 1);
    let late = shipped.replacen(":03:", ":04:", 1);
    let torn = r#"{"schema":1,"timestamp":"2026-11-26T00:01:00.000Z","event":"depre"#;
    let text = [event(1, "a"), event(2, "b"), event(3, "c"), event(4, "e")].concat();
    let path = folder.write("a", format!("{torn}\n{text}{shipped}{late}"));
    let reader = Reader::open([&path]).unwrap();
    let since = at("2026-11-26T00:02:00.000Z");
    let until = at("2026-11-26T00:03:59.999Z");
    let (found, sums) = read(reader.between(since, until)).unwrap();
    assert_eq!(found, ["b", "c", "d"]);
    assert_eq!((sums.read, sums.events, sums.skipped), (7, 6, 1));
}

#[test]
fn a_line_that_sums_uses_up_counts_when_the_first_of_them_came() {
    let folder = Folder::new();
    let at = |text: &str| json::read_timestamp(text);
    let summed = |method: &str, hour: u8| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-11-26T{:02}:00:01.000Z\",\"event\":\"deprecated_calls\",\"method\":\"{method}\",\
             \"count\":5,\"first\":\"2026-11-26T{hour:02}:10:00.000Z\"}}\n",
            hour + 1
        )
    };
    let path = folder.write(
        "a",
        [summed("a", 8), summed("b", 9), summed("c", 10)].concat(),
    );
    let since = at("2026-11-26T09:00:00.000Z");
    let until = at("2026-11-26T09:59:59.999Z");
    let (found, _) = read(Reader::open([&path]).unwrap().between(since, until)).unwrap();
    assert_eq!(found, ["b"]);
}

/// Hands out its bytes in the given pieces.
struct Pieces<'a>(&'a [u8], Vec<usize>);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.1.pop().unwrap_or(usize::MAX).max(1);
        let length = self.0.len().min(most).min(buffer.len());
        let (now, rest) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = rest;
        Ok(length)
    }
}

proptest! {
    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come(
        text in "[a-c\n]{0,200}",
        pieces in prop::collection::vec(1usize..40, 0..40),
    ) {
        let mut lines = Lines::new(Pieces(text.as_bytes(), pieces));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        let expected: Vec<&str> = text.lines().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Line::read(&bytes);
        let mut sums = Totals::default();
        Period::new(Some(1), Some(2)).look(&bytes, &mut sums, &mut |_| {});
    }
}
