//! Serves HTTP on a limited number of connections, and closes those that send nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A connection has this time to send the headers of its first request, and of each one after that.
const HEADERS: Duration = Duration::from_secs(10);
/// Extra time to respond to a request that used all of its time.
const RESPONSE: Duration = Duration::from_secs(1);
/// Wait after an error that no connection caused, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Serves until `stop`. After that, requests in flight have `request_lasts` to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    request_lasts: Duration,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let (places, connections) = (Arc::new(Semaphore::new(most)), GracefulShutdown::new());
    loop {
        let accepted = async {
            // The next connection waits in the queue of the operating system.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(AFTER_ERROR).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // The client sees an error by itself.
            let _ = connection.await;
            drop(place);
        });
    }
    // Do not wait longer: a client that has not sent its whole request may be gone.
    let _ = timeout(request_lasts + RESPONSE, connections.shutdown()).await;
}
