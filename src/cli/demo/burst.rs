//! A burst of calls to a portal that allows few: sent directly most of it fails, through the proxy all of it succeeds.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::task::JoinSet;

use super::calls::BURST;
use super::client;
use super::stage;
use crate::cli::failure::Failure;
use crate::cli::paint::Paint;
use crate::cli::settings::Settings;
use crate::cli::table::{Cell, Table};
use crate::cli::text::reason;
use crate::sandbox::{RequestLimit, Sandbox, SandboxConfig};

/// What the portal allows: calls at once, and calls a second.
const LIMIT: (u32, u32) = (6, 6);
/// Calls that come at once.
const CALLS: usize = 18;

/// What became of the burst on one way.
struct Became {
    done: usize,
    refused: usize,
    seconds: f64,
}

/// Sends the burst on both ways. Gives what is to be printed, and whether it is as it should be.
pub async fn play(log: &str, paint: Paint) -> Result<(String, bool), Failure> {
    let direct = portal().await?;
    let directly = send(direct.addr()).await?;
    drop(direct);
    let portal = portal().await?;
    let (depth, rate) = LIMIT;
    let settings = Settings::with(&[
        ("upstream", &portal.url()),
        ("listen", "127.0.0.1:0"),
        ("admin-listen", "off"),
        ("deprecation-log", log),
        ("portal-rate", &format!("{depth}:{rate}")),
        ("threads", "1"),
    ])?;
    let (proxy, address) = stage::proxy(&settings)?;
    let through = send(address).await?;
    stage::end(proxy.server).await;
    let well = directly.refused > 0 && directly.done > 0 && through.done == CALLS;
    let mut table = Table::new(&["way", "calls", "done", "refused (503)", "seconds"]);
    for (way, became) in [
        ("directly", &directly),
        ("through the proxy, --portal-rate", &through),
    ] {
        let colour = match became.refused {
            0 => Paint::green,
            _ => Paint::red,
        };
        table.row(vec![
            Cell::plain(way),
            Cell::plain(CALLS.to_string()),
            Cell::plain(became.done.to_string()),
            Cell::painted(became.refused.to_string(), colour),
            Cell::plain(format!("{:.1}", became.seconds)),
        ]);
    }
    let heading =
        format!("{CALLS} calls at once to a portal that allows {depth}, and {rate} a second:");
    Ok((
        format!("{}\n{}", paint.bold(&heading), table.render(paint)),
        well,
    ))
}

async fn portal() -> Result<Sandbox, Failure> {
    let config = SandboxConfig {
        limit: Some(RequestLimit {
            depth: f64::from(LIMIT.0),
            per_second: f64::from(LIMIT.1),
        }),
        ..SandboxConfig::default()
    };
    stage::portal(config).await
}

async fn send(address: SocketAddr) -> Result<Became, Failure> {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(async move { client::send(address, &BURST).await });
    }
    let mut became = Became {
        done: 0,
        refused: 0,
        seconds: 0.0,
    };
    for answer in calls.join_all().await {
        let answer = answer
            .map_err(|error| Failure::found(format!("a call of the burst: {}", reason(&error))))?;
        match answer.status {
            200 => became.done += 1,
            503 if answer.body.contains("QUERY_LIMIT_EXCEEDED") => became.refused += 1,
            other => return Err(Failure::found(format!("a call of the burst got {other}"))),
        }
    }
    became.seconds = began.elapsed().as_secs_f64();
    Ok(became)
}
