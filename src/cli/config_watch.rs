//! `--watch-config`: sees that a file of the configuration holds something else, however that came about: written in place,
//! renamed over, or behind a symlink that a kubelet has swapped.

use std::path::{Path, PathBuf};

use blake3::Hash;

/// What files hold. A file that cannot be read has no hash.
type Contents = Vec<(PathBuf, Option<Hash>)>;

/// Compares what files hold with what the last reload read.
pub struct ConfigWatch {
    known: Contents,
    last_look: Contents,
}

impl ConfigWatch {
    /// Begins with what the files hold now.
    pub fn begin(files: &[PathBuf]) -> Self {
        let known = contents(files);
        Self {
            last_look: known.clone(),
            known,
        }
    }

    /// Whether to reload: the files hold something that no reload has read, and that they held at the last look as well. A
    /// file that is being written is left until it is whole.
    pub fn look(&mut self, files: &[PathBuf]) -> bool {
        let now = contents(files);
        let settled = now == self.last_look;
        self.last_look = now;
        settled && self.last_look != self.known
    }

    /// A reload is about to read the files; refused or not, it is not done again for the same content.
    pub fn reloads(&mut self, files: &[PathBuf]) {
        self.known = contents(files);
    }
}

fn contents(files: &[PathBuf]) -> Contents {
    let hash = |path: &Path| std::fs::read(path).ok().map(|bytes| blake3::hash(&bytes));
    files
        .iter()
        .map(|path| (path.clone(), hash(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A volume as a kubelet lays it out: `FILE` → `..data/FILE`, `..data` → `..FOLDER`.
    fn volume(folder: &Path, version: &str, text: &str) {
        let data = folder.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("proxy.toml"), text).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    }

    #[test]
    fn a_swapped_symlink_is_seen_once_it_has_settled_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        volume(folder.path(), "..1", "a = 1");
        let file = folder.path().join("proxy.toml");
        symlink("..data/proxy.toml", &file).unwrap();
        let files = [file];
        let mut watch = ConfigWatch::begin(&files);
        assert!(!watch.look(&files));
        volume(folder.path(), "..2", "a = 2");
        assert!(!watch.look(&files), "it may still be changing");
        assert!(watch.look(&files));
        watch.reloads(&files);
        assert!(!watch.look(&files) && !watch.look(&files));
    }

    #[test]
    fn the_same_content_in_another_file_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("proxy.toml")];
        fs::write(&files[0], "a = 1").unwrap();
        let mut watch = ConfigWatch::begin(&files);
        fs::write(folder.path().join("new"), "a = 1").unwrap();
        fs::rename(folder.path().join("new"), &files[0]).unwrap();
        assert!(!watch.look(&files) && !watch.look(&files));
    }

    #[test]
    fn a_file_that_is_gone_or_newly_named_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.toml");
        fs::write(&path, "a = 1").unwrap();
        let files = [path.clone()];
        let mut watch = ConfigWatch::begin(&files);
        fs::remove_file(&path).unwrap();
        assert!(!watch.look(&files) && watch.look(&files));
        watch.reloads(&files);
        let more = [path, folder.path().join("callers.toml")];
        assert!(!watch.look(&more) && watch.look(&more));
    }
}
