//! The budget that replicas share through Redis or Valkey: a thread that asks the store for as many grants as calls wait, and
//! goes on with this replica's own part of the budget while the store does not answer.
//!
//! No call ever waits for the store itself: who has to wait stands in the queue, as without a store.

use super::Pacing;
use crate::pace::replica::{Question, Told};
use crate::proxy::config::{RateStore, StoreAddress};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, ServerErrorKind,
};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the store does for one question; it stands beside this file.
const SCRIPT: &str = include_str!("store.lua");

/// How long the store may take for an answer.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long reaching it may take, and how often it is tried.
const PROBE: Duration = Duration::from_secs(1);
/// A replica without calls asks this often, so that others know of it and it knows of the store.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The longest sleep while calls wait: others forget a waiting replica after a second.
const LONGEST: Duration = Duration::from_millis(400);
/// The pause when it is another replica's turn.
const NOT_OUR_TURN: Duration = Duration::from_millis(5);
/// The pause between two questions while there is no room.
const SHORT: Duration = Duration::from_millis(2);

/// Starts the thread. It ends with the drain.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    pacing: Arc<Pacing>,
    store: RateStore,
    portal: &str,
    sources: &[String],
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let keys = keys(portal, &store.egress, sources);
    let replica = format!("{:016x}", pacing.random());
    std::thread::Builder::new()
        .name("pace".into())
        .spawn(move || runtime.block_on(run(pacing, store, keys, replica)))?;
    Ok(())
}

/// A key for each source address; the braces keep each on one node of a cluster.
fn keys(portal: &str, egress: &str, sources: &[String]) -> Vec<String> {
    let key = |source: &str| format!("b24:pace:{{{portal}/{egress}{source}}}");
    match sources {
        [] => vec![key("")],
        sources => sources
            .iter()
            .map(|source| key(&format!("/{source}")))
            .collect(),
    }
}

/// A connection to the store, with the script's name there.
struct Link {
    connection: MultiplexedConnection,
    script: String,
}

type Probe = Pin<Box<dyn Future<Output = Result<Link, String>>>>;

async fn run(pacing: Arc<Pacing>, store: RateStore, keys: Vec<String>, replica: String) {
    let mut link: Option<Link> = None;
    let mut probe: Option<Probe> = None;
    let mut next_probe = Instant::now();
    let mut said = None;
    while !pacing.is_closed() {
        let Some(open) = &mut link else {
            if probe.is_none() && Instant::now() >= next_probe {
                probe = Some(Box::pin(connect(store.clone())));
                next_probe = Instant::now() + PROBE;
            }
            let own = pacing.let_go();
            let wake = own
                .unwrap_or(next_probe)
                .min(next_probe.max(Instant::now() + SHORT));
            let reached = async {
                match &mut probe {
                    Some(probe) => probe.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                reached = reached => {
                    probe = None;
                    match reached {
                        Ok(open) => link = Some(open),
                        Err(why) => pacing.store_is_away(&mut said, &why),
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                () = pacing.changed.notified() => {}
            }
            continue;
        };
        match ask(open, &pacing, &keys, &replica).await {
            Ok(pause) => {
                if pacing.store_answers(&mut said) {
                    tracing::info!(
                        "the rate store answers: replicas share the portal's limit through it"
                    );
                }
                tokio::time::sleep(pause.at_least).await;
                tokio::select! {
                    () = tokio::time::sleep(pause.at_most) => {}
                    () = pacing.changed.notified() => {}
                }
            }
            Err(why) => {
                link = None;
                next_probe = Instant::now() + PROBE;
                pacing.store_is_away(&mut said, &why);
            }
        }
    }
}

/// How long to wait with the next question.
struct Pause {
    at_least: Duration,
    at_most: Duration,
}

/// One question for each source address, until nobody waits.
async fn ask(
    link: &mut Link,
    pacing: &Pacing,
    keys: &[String],
    replica: &str,
) -> Result<Pause, String> {
    let mut pause = Pause {
        at_least: Duration::ZERO,
        at_most: HEARTBEAT,
    };
    for (source, key) in keys.iter().enumerate() {
        let question = pacing.question(source);
        let told = link.ask(key, replica, &question).await?;
        let is_short = told.granted < question.want;
        pacing.store_told(source, &question, told);
        if is_short {
            let wait = if told.wait.is_zero() {
                NOT_OUR_TURN
            } else {
                told.wait
            };
            pause.at_least = SHORT;
            pause.at_most = pause.at_most.min(wait.min(LONGEST));
        }
    }
    Ok(pause)
}

impl Link {
    async fn ask(&mut self, key: &str, replica: &str, question: &Question) -> Result<Told, String> {
        let asked = async {
            let script = self.script.clone();
            match self.run("EVALSHA", &script, key, replica, question).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.run("EVAL", SCRIPT, key, replica, question).await
                }
                told => told,
            }
        };
        let told = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| "it did not answer within 50 ms")?
            .map_err(|error| reason(&error))?;
        let [granted, wait, others, replicas, level, own] = told[..] else {
            return Err("it answers something else".into());
        };
        let count = |n: i64| usize::try_from(n).unwrap_or(0);
        Ok(Told {
            granted: count(granted),
            wait: Duration::from_micros(u64::try_from(wait).unwrap_or(0)),
            others: count(others),
            replicas: count(replicas).max(1),
            level: level as f64 / 1000.0,
            own: own as f64 / 1000.0,
        })
    }

    async fn run(
        &mut self,
        command: &str,
        script: &str,
        key: &str,
        replica: &str,
        question: &Question,
    ) -> Result<Vec<i64>, RedisError> {
        let mut command = redis::cmd(command);
        command
            .arg(script)
            .arg(1)
            .arg(key)
            .arg(replica)
            .arg(question.limit.usable())
            .arg(question.rate)
            .arg(question.limit.depth)
            .arg(question.limit.rate)
            .arg(question.limit.reserve())
            .arg(question.callers)
            .arg(question.want)
            .arg(question.fresh)
            .arg(question.begin)
            .arg(question.add)
            .arg(u8::from(question.is_full))
            .arg(question.refused);
        command.query_async(&mut self.connection).await
    }
}

async fn connect(store: RateStore) -> Result<Link, String> {
    let connecting = async {
        let mut redis = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &store.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &store.password {
            redis = redis.set_password(password.expose());
        }
        let (address, database) = match &store.address {
            StoreAddress::Tcp {
                tls: false,
                host,
                port,
                database,
            } => (ConnectionAddr::Tcp(host.clone(), *port), *database),
            StoreAddress::Tcp {
                tls: true,
                host,
                port,
                database,
            } => (
                ConnectionAddr::TcpTls {
                    host: host.clone(),
                    port: *port,
                    insecure: false,
                    tls_params: None,
                },
                *database,
            ),
            StoreAddress::Unix(path) => (ConnectionAddr::Unix(path.clone()), 0),
        };
        let info = address
            .into_connection_info()?
            .set_redis_settings(redis.set_db(database));
        let client = redis::Client::open(info)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PROBE))
            .set_response_timeout(Some(PROBE));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let script: String = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(SCRIPT)
            .query_async(&mut connection)
            .await?;
        Ok(Link { connection, script })
    };
    match tokio::time::timeout(PROBE, connecting).await {
        Ok(made) => made.map_err(|error: RedisError| reason(&error)),
        Err(_) => Err("it did not answer within a second".into()),
    }
}

/// Why it does not work, without anything that could hold a secret.
fn reason(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "it refuses the user or password".into(),
        ErrorKind::Io if error.is_connection_refusal() => "it refused the connection".into(),
        ErrorKind::Io if error.is_timeout() => "it took too long".into(),
        ErrorKind::Io if error.to_string().contains("certificate") => {
            "its certificate is not trusted; the system's authorities, or those of SSL_CERT_FILE, count"
                .into()
        }
        ErrorKind::Io => "the connection broke or could not be made".into(),
        _ => error.code().map_or_else(
            || "it answers something else".into(),
            |code| format!("it answered {code}"),
        ),
    }
}
