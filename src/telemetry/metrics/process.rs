//! The process as the kernel sees it: the standard `process_*` metrics, from `/proc/self`.

/// A reading of `/proc/self`; what cannot be read is 0.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
    pub(super) threads: u64,
}

impl Process {
    pub(super) fn read() -> Self {
        let text =
            |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        // The command's name, in brackets, may hold anything: what counts stands behind it.
        let stat = text("stat");
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_ascii_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        // Numbered from 3 on in proc(5).
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let limits = text("limits");
        let max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_seconds: (field(14) + field(15)) as f64
                / rustix::param::clock_ticks_per_second() as f64,
            threads: field(20),
            virtual_bytes: field(23),
            resident_bytes: field(24) * rustix::param::page_size() as u64,
            open_fds: std::fs::read_dir("/proc/self/fd")
                .map_or(0, |entries| entries.count() as u64),
            max_fds: max_fds
                .and_then(|rest| rest.split_ascii_whitespace().next())
                .and_then(|soft| soft.parse().ok())
                .unwrap_or(0),
        }
    }
}
