//! The sandbox portal as a test's portal: served by a thread of its own until it is dropped.

use b24_migration_proxy::sandbox::{Sandbox, SandboxConfig};

pub struct Running {
    pub sandbox: Sandbox,
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// Starts one on a free port.
pub fn start(config: SandboxConfig) -> Running {
    let (give, take) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let _ = give.send(Sandbox::start(config).await);
            let _ = stopped.await;
        });
    });
    let sandbox = take
        .recv()
        .expect("the thread answers")
        .expect("a free port");
    Running {
        sandbox,
        _stop: stop,
    }
}
