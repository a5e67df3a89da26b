//! The store that replicas share the portal's limit through, as the options give it.

use std::path::PathBuf;

use super::failure::Failure;
use super::inputs;
use super::layers::Layers;
use super::values;
use crate::pace::PortalRate;
use crate::proxy::config::{RateStore, StoreAddress};

/// The options of the rate store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub address: Option<StoreAddress>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    /// The name of the address from which calls leave.
    egress: String,
    replicas: usize,
}

impl StoreOptions {
    pub fn read(layers: &Layers) -> Result<Self, Failure> {
        Ok(StoreOptions {
            address: layers.maybe("rate-store", values::rate_store)?,
            user: layers.maybe("rate-store-user", values::word)?,
            password_file: layers.maybe("rate-store-password-file", values::path)?,
            egress: layers.one("egress", values::word)?,
            replicas: layers.one("replicas", values::count)?,
        })
    }

    /// The option that does not go with the others, and why.
    pub fn fault(&self, layers: &Layers, rate: PortalRate) -> Option<(&'static str, &'static str)> {
        if self.address.is_none() {
            return ["rate-store-user", "rate-store-password-file"]
                .into_iter()
                .find(|name| layers.get(name).is_some())
                .map(|name| (name, "there is no --rate-store that would ask for it"));
        }
        if cfg!(not(feature = "rate-store")) {
            let why = "this build has none; build it with the feature rate-store";
            return Some(("rate-store", why));
        }
        let why = "with --portal-rate off nothing is shared; leave one of them away";
        (rate == PortalRate::Off).then_some(("rate-store", why))
    }

    /// The store with its password; `None` where replicas share none.
    pub fn open(&self) -> Result<Option<RateStore>, Failure> {
        let Some(address) = self.address.clone() else {
            return Ok(None);
        };
        let password = self
            .password_file
            .as_deref()
            .map(inputs::store_password)
            .transpose()?;
        Ok(Some(RateStore {
            address,
            user: self.user.clone(),
            password,
            egress: self.egress.clone(),
            replicas: self.replicas,
        }))
    }
}
