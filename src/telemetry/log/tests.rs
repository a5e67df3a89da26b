use super::sink::SinkKind;
use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

fn open(path: &Path) -> Arc<LineLog> {
    LineLog::open(LogConfig::deprecation(LogTarget::Path(path.to_owned()))).unwrap()
}

fn refusing(path: &Path) -> Arc<LineLog> {
    let config = LogConfig {
        on_failure: OnLogFailure::Refuse,
        ..LogConfig::deprecation(LogTarget::Path(path.to_owned()))
    };
    LineLog::open(config).unwrap()
}

/// A line that shows where it was torn: `N xxxx… N`.
fn line(number: usize, width: usize) -> Vec<u8> {
    format!("{number} {} {number}\n", "x".repeat(width)).into_bytes()
}

/// The numbers of the lines of a file, in their order; fails at one that is not whole.
fn numbers(path: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is torn"
    );
    text.lines()
        .map(|line| {
            let (first, rest) = line
                .split_once(' ')
                .unwrap_or_else(|| panic!("torn: {line}"));
            assert_eq!(rest.rsplit(' ').next(), Some(first), "torn: {line}");
            first.parse().unwrap()
        })
        .collect()
}

/// Runs this test again as a process of its own, for what concerns a whole process; says whether this is that process.
fn in_a_process_of_its_own(test: &str) -> bool {
    const INSIDE: &str = "TELEMETRY_LOG_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("telemetry::log::tests::{test}"),
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{output:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

#[test]
fn lines_are_in_the_file_when_append_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&path);
    log.append(&line(1, 5)).unwrap();
    assert_eq!(numbers(&path), [1]);
    log.append(&[line(2, 5), line(3, 5)].concat()).unwrap();
    assert_eq!(numbers(&path), [1, 2, 3]);
    let status = log.status();
    assert!(status.ok && status.last_write.is_some());
    assert_eq!(
        (status.written, status.queued, status.dropped, status.errors),
        (3, 0, 0, 0)
    );
}

#[test]
fn a_line_that_its_writer_could_not_end_is_ended_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "1 x 1\n{\"half").unwrap();
    let log = open(&path);
    assert_eq!(log.length_at_open(), 13);
    log.append(b"2 x 2\n").unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "1 x 1\n{\"half\n2 x 2\n"
    );
}

#[test]
fn rotation_by_rename_under_load_loses_and_tears_nothing() {
    const ROTATIONS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let old = |number: usize| dir.path().join(format!("log.{number}"));
    let log = open(&path);
    let done = AtomicBool::new(false);
    let mut sent = 0;
    std::thread::scope(|scope| {
        let write = |thread: usize| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                log.append(&line(thread << 32 | number, 200)).unwrap();
                number += 1;
            }
            number
        };
        let writers: Vec<_> = (0..4)
            .map(|thread| scope.spawn(move || write(thread)))
            .collect();
        for rotation in 0..ROTATIONS {
            std::thread::sleep(Duration::from_millis(3));
            std::fs::rename(&path, old(rotation)).unwrap();
            // Both ways in turn: told by a signal, or seen by itself.
            if rotation % 2 == 0 {
                log.reopen().unwrap()
            } else {
                log.tick()
            }
        }
        done.store(true, Ordering::Relaxed);
        sent = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
    });
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for file in (0..ROTATIONS).map(old).chain([path.clone()]) {
        for number in numbers(&file) {
            *seen.entry(number).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), sent);
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn a_file_that_was_moved_or_removed_is_replaced_by_a_tick() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&path);
    log.append(&line(1, 1)).unwrap();
    std::fs::remove_file(&path).unwrap();
    log.tick();
    log.append(&line(2, 1)).unwrap();
    assert_eq!(numbers(&path), [2]);
    // A directory in its place: lines go on to the open file, and the trouble is known.
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    std::fs::create_dir(&path).unwrap();
    log.tick();
    log.append(&line(3, 1)).unwrap();
    assert!(log.reopen().is_err());
    assert_eq!(numbers(&dir.path().join("old")), [2, 3]);
    assert!(
        log.status()
            .last_error
            .unwrap()
            .starts_with("cannot be reopened")
    );
    std::fs::remove_dir(&path).unwrap();
    log.tick();
    log.append(&line(4, 1)).unwrap();
    assert_eq!(numbers(&path), [4]);
}

#[test]
fn with_a_full_disk_calls_go_on_and_what_does_not_fit_is_counted() {
    let config = LogConfig {
        queue: 100,
        ..LogConfig::deprecation(LogTarget::Path("/dev/full".into()))
    };
    let log = LineLog::open(config).unwrap();
    for number in 0..20 {
        assert_eq!(log.append(&line(number, 10)), Ok(()));
    }
    let status = log.status();
    assert!(!status.ok && status.last_error.unwrap().contains("No space left"));
    assert_eq!(status.queued + status.dropped, 20);
    assert!(
        status.queued_bytes <= 100 && status.queued >= 5,
        "{} bytes",
        status.queued_bytes
    );
    assert!(log.can_accept());
}

#[test]
fn with_a_full_disk_and_refuse_the_caller_is_told() {
    let log = refusing(Path::new("/dev/full"));
    assert!(log.can_accept(), "nothing has failed yet");
    assert_eq!(log.append(&line(1, 1)), Err(LogUnavailable));
    assert!(!log.can_accept());
    assert_eq!(log.status().queued, 1);
}

#[test]
fn a_pipe_that_nobody_reads_stalls_nobody_and_gets_all_lines_in_order_later() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(
        LineLog::open(LogConfig::deprecation(LogTarget::Path(path.clone()))).is_err(),
        "no reader yet"
    );
    let reader = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let log = refusing(&path);
    let mut refused = 0;
    for number in 0..1000 {
        refused += usize::from(log.append(&line(number, 500)).is_err());
    }
    assert!(refused > 500, "the pipe took too much");
    assert!(!log.can_accept());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(reader).lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    let mut received = Vec::new();
    while received.len() < 1000 {
        log.tick();
        received.extend(receiver.try_iter());
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent: Vec<String> = (0..1000)
        .map(|number| {
            String::from_utf8(line(number, 500))
                .unwrap()
                .trim_end()
                .to_owned()
        })
        .collect();
    assert_eq!(received, sent);
    assert!(log.can_accept() && log.status().ok);
    assert_eq!((log.status().queued, log.status().dropped), (0, 0));
}

#[test]
fn standard_output_that_is_a_full_pipe_is_not_waited_for() {
    // The same as for standard output, on a pipe of our own: blocking, and polled before each piece.
    let (reader, writer) = std::io::pipe().unwrap();
    let sink = Sink::of(File::from(OwnedFd::from(writer)), SinkKind::Polled).unwrap();
    let lines: Vec<u8> = (0..400).flat_map(|number| line(number, 1000)).collect();
    let mut written = 0;
    let error = sink.write(&lines, &mut written).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(written >= 32 << 10, "{written} bytes");
    assert!(
        lines[..written].ends_with(b"\n"),
        "pieces of a pipe end with a line"
    );
    drop(reader);
    assert_eq!(
        sink.write(&lines, &mut 0).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn after_a_file_size_limit_the_log_goes_on_where_it_was_cut() {
    if !in_a_process_of_its_own("after_a_file_size_limit_the_log_goes_on_where_it_was_cut") {
        return;
    }
    survive_the_file_size_limit().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = open(&path);
    let limits = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(1000),
            maximum: limits.maximum,
        },
    )
    .unwrap();
    for number in 0..100 {
        log.append(&line(number, 30)).unwrap();
    }
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        1000,
        "cut in the middle of a line"
    );
    let status = log.status();
    assert!(!status.ok && status.last_error.unwrap().contains("File too large"));
    assert_eq!(status.written + status.queued, 100);
    setrlimit(Resource::Fsize, limits).unwrap();
    log.append(&line(100, 30)).unwrap();
    assert_eq!(numbers(&path), (0..=100).collect::<Vec<_>>());
    assert_eq!((log.status().written, log.status().queued), (101, 0));

    // Somebody else wrote behind our half line: the next line begins on a new line, whole.
    let length = std::fs::metadata(&path).unwrap().len();
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(length + 10),
            maximum: limits.maximum,
        },
    )
    .unwrap();
    log.append(&line(101, 30)).unwrap();
    setrlimit(Resource::Fsize, limits).unwrap();
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"theirs")
        .unwrap();
    log.append(&line(102, 30)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let tail: Vec<&str> = text[length as usize..].lines().collect();
    let whole = |number| {
        String::from_utf8(line(number, 30))
            .unwrap()
            .trim_end()
            .to_owned()
    };
    assert_eq!(tail, ["101 xxxxxxtheirs", &whole(101), &whole(102)]);

    // Rotated while a line was half out: the new file begins with the whole line.
    let length = std::fs::metadata(&path).unwrap().len();
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(length + 10),
            maximum: limits.maximum,
        },
    )
    .unwrap();
    log.append(&line(103, 30)).unwrap();
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    log.reopen().unwrap();
    assert_eq!(numbers(&path), [103]);
    setrlimit(Resource::Fsize, limits).unwrap();
}

#[test]
fn with_sync_lines_of_many_threads_are_written_and_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let config = LogConfig {
        sync: true,
        ..LogConfig::deprecation(LogTarget::Path(path.clone()))
    };
    let log = LineLog::open(config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                (0..20).for_each(|n| log.append(&line(thread * 20 + n, 10)).unwrap())
            });
        }
    });
    let mut seen = numbers(&path);
    seen.sort_unstable();
    assert_eq!(seen, (0..80).collect::<Vec<_>>());
    assert_eq!(*log.synced.lock().unwrap(), 80);
}

#[test]
fn an_empty_append_is_no_write() {
    let log = refusing(Path::new("/dev/full"));
    assert_eq!(log.append(b""), Ok(()));
    assert!(log.status().ok);
}
