//! `check --here`: what this machine lacks for a configuration that is right by itself. Opens no port and no file.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use rustix::fs::{Access, access};

use super::assemble;
use super::failure::Failure;
use super::settings::{Settings, is_own};
use super::sockets::cannot_listen;

use crate::proxy::config::Listen;
use crate::telemetry::log::LogTarget;

/// What this machine lacks first; nothing where `serve` has all that it needs.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    let machine = Machine::look();
    machine.has_what_no_start_tells(settings)?;
    for listen in &settings.listen {
        match listen {
            Listen::Tcp { address, .. } => machine.can_listen(*address, "--listen")?,
            Listen::Unix(path) => may_make(path).map_err(|error| {
                cannot_listen(&format!("unix:{}", path.display()), "--listen", &error)
            })?,
        }
    }
    if let Some(address) = settings.admin_listen {
        machine.can_listen(address, "--admin-listen")?;
    }
    let logs = [
        ("deprecation log", Some(&settings.deprecation_log)),
        ("access log", settings.access_log.as_ref()),
    ];
    for (name, target) in logs {
        if let Some(LogTarget::Path(path)) = target {
            may_make(path).map_err(|error| assemble::cannot_open(name, path, &error))?;
        }
    }
    crate::proxy::check_authorities(&assemble::proxy_config(settings)).map_err(Failure::usage)
}

/// What `serve` would not meet at its start, but in each call.
pub fn check_start(settings: &Settings) -> Result<(), Failure> {
    Machine::look().has_what_no_start_tells(settings)
}

/// A refusal to start, with a hint where [`check`] would have told it.
pub fn named(settings: &Settings, refusal: Failure) -> Failure {
    match check(settings) {
        Ok(()) => refusal,
        Err(_) => refusal.with("(`check --here` says so without a start)"),
    }
}

/// What matters of this machine.
struct Machine {
    /// Nothing where this process may not ask for them (AF_NETLINK), as in the shipped unit.
    addresses: Option<BTreeSet<IpAddr>>,
    /// Whether any address may be bound: one that comes and goes between machines is not always here.
    binds_any: bool,
    /// Ports below need a privilege that this process lacks.
    first_port: u16,
}

impl Machine {
    fn look() -> Self {
        let interfaces = if_addrs::get_if_addrs().ok();
        let on = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
        Self {
            addresses: interfaces.map(|all| all.iter().map(if_addrs::Interface::ip).collect()),
            binds_any: on("/proc/sys/net/ipv4/ip_nonlocal_bind"),
            first_port: first_port(),
        }
    }

    /// Whether it is an address of this machine. One that cannot be looked up can be bound, on a port that is free.
    fn owns(&self, ip: IpAddr) -> bool {
        match &self.addresses {
            Some(addresses) => addresses.contains(&ip),
            None => !self.binds_any && UdpSocket::bind((ip, 0)).is_ok(),
        }
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.binds_any || ip.is_loopback() || self.owns(ip.to_canonical())
    }

    fn can_listen(&self, address: SocketAddr, option: &str) -> Result<(), Failure> {
        let wrong = if !address.ip().is_unspecified() && !self.has(address.ip()) {
            io::ErrorKind::AddrNotAvailable
        } else if address.port() != 0 && address.port() < self.first_port {
            io::ErrorKind::PermissionDenied
        } else {
            return Ok(());
        };
        Err(cannot_listen(&address.to_string(), option, &wrong.into()))
    }

    fn has_what_no_start_tells(&self, settings: &Settings) -> Result<(), Failure> {
        let foreign = |ip: &&IpAddr| !self.has(**ip);
        if let Some(foreign) = settings.upstream_sources.iter().find(foreign) {
            let why =
                format!("this machine has no address {foreign}; name one of its own (ip address)");
            return settings
                .wrong("upstream-source", &why)
                .map_err(Failure::of_machine);
        }
        if is_own(settings, |ip| self.owns(ip)) {
            let why = "it is the proxy's own --listen address, so that calls would go round for ever; give the portal's";
            return settings.wrong("upstream", why);
        }
        Ok(())
    }
}

/// The first port that this process may listen on.
fn first_port() -> u16 {
    const NET_BIND_SERVICE: u32 = 10;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let may = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|held| held >> NET_BIND_SERVICE & 1 == 1);
    if may {
        return 0;
    }
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    first
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// Whether this process may write the file, or make it.
fn may_make(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => return Ok(access(path, Access::WRITE_OK)?),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            addresses: Some(["192.0.2.7".parse().unwrap()].into()),
            binds_any: false,
            first_port: 1024,
        }
    }

    #[test]
    fn a_process_that_may_not_ask_for_addresses_finds_its_own_by_binding_them() {
        let machine = Machine {
            addresses: None,
            ..machine()
        };
        assert!(machine.owns(IpAddr::from([127, 0, 0, 1])));
        assert!(!machine.owns("192.0.2.7".parse().unwrap()));
    }

    fn told(address: &str) -> String {
        let address = address.parse().unwrap();
        match machine().can_listen(address, "--listen") {
            Ok(()) => String::new(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn an_address_is_one_of_the_machines_interfaces() {
        for its in [
            "0.0.0.0:8080",
            "[::]:8080",
            "127.0.0.2:8080",
            "192.0.2.7:8080",
            "192.0.2.7:0",
        ] {
            assert_eq!(told(its), "", "{its}");
        }
        assert!(told("192.0.2.8:8080").contains("this machine has no such address"));
        assert!(told("192.0.2.7:443").contains("it is not permitted"));
    }

    #[test]
    fn a_file_that_can_be_made_is_no_trouble_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        assert!(may_make(&log).is_ok() && !log.exists());
        let kind = |path: &Path| may_make(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), io::ErrorKind::IsADirectory);
        assert_eq!(
            kind(&folder.path().join("no/a.log")),
            io::ErrorKind::NotFound
        );
        std::fs::write(&log, "").unwrap();
        assert_eq!(kind(&log.join("b")), io::ErrorKind::NotADirectory);
    }
}
