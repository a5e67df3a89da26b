//! What lines are written to, and how without waiting for anybody.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::LogTarget;

/// The most bytes that a pipe takes at once without a reader in between, by POSIX's `PIPE_BUF` on Linux.
const PIPE_BUF: usize = 4096;

/// What the lines are written to.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    kind: SinkKind,
    /// Device and inode.
    pub(super) identity: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SinkKind {
    /// A file of a disk: its writes end soon, or fail.
    Regular,
    /// Opened by us with `O_NONBLOCK`.
    NonBlocking,
    /// Shared with others, and may block: to be polled.
    Polled,
}

impl Sink {
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Path(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
                    .open(path)?;
                let sink = Self::of(file, SinkKind::NonBlocking)?;
                if sink.kind == SinkKind::Regular {
                    end_the_last_line(path, &sink.file);
                }
                Ok(sink)
            }
            LogTarget::Stdout => {
                let file: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
                Self::of(File::from(file), SinkKind::Polled)
            }
        }
    }

    pub(super) fn of(file: File, otherwise: SinkKind) -> io::Result<Self> {
        let found = file.metadata()?;
        let regular = found.file_type().is_file() || found.file_type().is_block_device();
        Ok(Self {
            file,
            kind: if regular {
                SinkKind::Regular
            } else {
                otherwise
            },
            identity: Some((found.dev(), found.ino())),
        })
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The length of a regular file; nothing for what has no length.
    pub(super) fn regular_length(&self) -> Option<u64> {
        if self.kind != SinkKind::Regular {
            return None;
        }
        self.file.metadata().ok().map(|found| found.len())
    }

    /// Writes as much as goes without waiting for anybody; `written` says how much, also when it ends in an error.
    pub(super) fn write(&self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        while *written < bytes.len() {
            let mut piece = &bytes[*written..];
            if self.kind != SinkKind::Regular && piece.len() > PIPE_BUF {
                // So much a pipe takes whole or not at all: lines stay whole when others write to it too.
                let end =
                    memchr::memrchr(b'\n', &piece[..PIPE_BUF]).map_or(PIPE_BUF, |end| end + 1);
                piece = &piece[..end];
            }
            if self.kind == SinkKind::Polled && !self.is_writable()? {
                return Err(ErrorKind::WouldBlock.into());
            }
            match (&self.file).write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_writable(&self) -> io::Result<bool> {
        let mut ask = [PollFd::new(&self.file, PollFlags::OUT)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // An error or a hang-up is for the write to tell.
        Ok(rustix::event::poll(&mut ask, Some(&now))? > 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self.kind {
            SinkKind::Regular => self.file.sync_data(),
            SinkKind::NonBlocking | SinkKind::Polled => Ok(()),
        }
    }
}

/// A line that its writer could not end is ended, so that ours is not glued to it. Best effort: a log that may be written
/// but not read is left as it is.
fn end_the_last_line(path: &std::path::Path, mut append: &File) {
    let last = File::open(path).and_then(|mut file| {
        let mut last = [0u8];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    });
    if last.is_ok_and(|last| last != b'\n') {
        let _ = append.write_all(b"\n");
    }
}
