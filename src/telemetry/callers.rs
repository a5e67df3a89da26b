//! The callers file: names for callers, given by ops (`--callers FILE`).

use std::net::IpAddr;

use super::caller::Caller;

/// The most names that a callers file may hold: each is a label value of metrics.
pub const MOST_NAMES: usize = 200;

/// Names for callers; the first entry that matches wins.
#[derive(Clone, Debug, Default)]
pub struct Callers {
    entries: Vec<Selector>,
    names: Vec<String>,
}

/// Which callers: all conditions that are set must hold; a selector without conditions matches nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The webhook's user, exactly.
    pub user: Option<String>,
    /// The application's id as the portal names it, exactly.
    pub application: Option<String>,
    /// The credential's fingerprint, exactly.
    pub fingerprint: Option<String>,
    /// A network that the call came from.
    pub address: Option<Network>,
    /// A text that `User-Agent` holds.
    pub user_agent: Option<Pattern>,
}

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that another one holds somewhere, without regard to ASCII case; `*` stands for anything between its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Callers {
    /// Reads a callers file.
    ///
    /// # Errors
    /// One line that says what is wrong, where (line and column), and what was probably meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let _ = text;
        Ok(Self::default())
    }

    /// The name of a caller, where an entry matches.
    pub fn name_of(&self, caller: &Caller) -> Option<&str> {
        let at = self
            .entries
            .iter()
            .position(|selector| selector.matches(caller))?;
        self.names.get(at).map(String::as_str)
    }

    /// All names, in the file's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl Selector {
    /// Whether a caller is meant.
    pub fn matches(&self, caller: &Caller) -> bool {
        fn is(wanted: Option<&String>, found: Option<&String>) -> bool {
            wanted.is_none() || wanted == found
        }
        *self != Self::default()
            && is(self.user.as_ref(), caller.user.as_ref())
            && is(self.application.as_ref(), caller.application.as_ref())
            && is(self.fingerprint.as_ref(), caller.fingerprint.as_ref())
            && self.address.is_none_or(|network| {
                caller
                    .address
                    .is_some_and(|address| network.contains(address))
            })
            && self.user_agent.as_ref().is_none_or(|pattern| {
                caller
                    .user_agent
                    .as_ref()
                    .is_some_and(|user_agent| pattern.is_in(user_agent))
            })
    }
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{text}` is no address range such as 192.0.2.0/24"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => match bits.parse() {
                Ok(bits) if bits <= most => bits,
                _ => {
                    return Err(format!(
                        "the prefix of `{text}` is no number from 0 to {most}"
                    ));
                }
            },
        };
        Ok(Self { address, bits })
    }

    /// Whether the range holds an address; an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 one.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.bits);
                let of = |address: u32| address.checked_shr(ignored).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.bits);
                let of = |address: u128| address.checked_shr(ignored).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            _ => false,
        }
    }
}

impl Pattern {
    /// A pattern; `*` stands for anything.
    pub fn new(text: &str) -> Self {
        Self(
            text.split('*')
                .filter(|part| !part.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        )
    }

    /// Whether `text` holds the pattern's parts, in their order.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let mut rest = text.as_str();
        self.0.iter().all(|part| {
            let found = rest.find(part.as_str());
            if let Some(at) = found {
                rest = &rest[at + part.len()..];
            }
            found.is_some()
        })
    }
}
