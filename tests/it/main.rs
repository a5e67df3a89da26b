//! One program of integration tests. Each module stands under the folders of `src` whose promises it keeps; what needs no
//! process, socket or other program is tested beside its code. The test `house` compares the headings with the folders.

mod house;
mod support;

// src/admin
mod admin;
mod monitoring;
mod page;
mod strangers;

// src/advice, src/catalogue
mod every_method;
mod letter;
mod methods;
mod snippets;

// src/cli
mod cli;
mod deploy;
mod docs;
mod recipes;
mod reload;
mod rules;
mod terminal;

// src/ladder
mod ladder;
mod refused;
mod refused_law;
mod sdk;

// src/pace
mod pacing;
mod pacing_store;

// src/protocol, src/translate
mod golden;
mod own_rules_law;
mod translate;
mod ways;

// src/proxy: bytes as they pass
mod exact;
mod framing;
mod http2;
mod interop;
mod second_opinion;
mod upgrade;

// src/proxy: connections of both sides
mod connections;
mod peers;
mod tls;
mod upstream_tls;

// src/proxy: what goes wrong
mod drain;
mod errors;
mod faults;
mod limits;

// src/report
mod duckdb;
mod evidence;

// src/sandbox
mod sandbox_http;
mod sandbox_law;
mod sandbox_php;

// src/scan
mod scan;

// src/telemetry
mod durability;
mod heartbeat;
mod secrets;
