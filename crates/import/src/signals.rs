//! The signals that ask a program to end.

use std::io;
use std::process::exit;

use tokio::sync::watch;

/// Reports the name of the first signal; the value never changes again. The second signal ends the program, after
/// `cleanup`.
pub fn watch(
    cleanup: impl FnOnce() + Send + 'static,
) -> io::Result<watch::Receiver<Option<&'static str>>> {
    let mut signals = Signals::new()?;
    let (sender, ends) = watch::channel(None);
    tokio::spawn(async move {
        let (name, _) = signals.next().await;
        sender.send_replace(Some(name));
        let (_, code) = signals.next().await;
        cleanup();
        exit(code)
    });
    Ok(ends)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// The next signal, and its exit code.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupt.recv() => ("interrupted", 130),
            _ = self.terminate.recv() => ("terminated", 143),
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> (&'static str, i32) {
        self.0.recv().await;
        ("interrupted", 130)
    }
}
