//! One program of integration tests: a module for each folder of `src`, and for each promise of the data path.

mod admin;
mod cli;
mod connections;
mod docs;
mod drain;
mod durability;
mod every_method;
mod exact;
mod faults;
mod framing;
mod golden;
mod ladder;
mod monitoring;
mod page;
mod peers;
mod reload;
mod rules;
mod sandbox_http;
mod sandbox_law;
mod sandbox_php;
mod scan;
mod support;
mod tls;
mod translate;
mod upgrade;
mod upstream_tls;
