//! The same guarantees under other timings: slow connections, servers that store late or look up and store
//! in two steps, HTTP/2, clones that start together, a frozen process.

use std::collections::HashMap;
use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use botpress_messages::{
    Client, Delivery, Error, ErrorKind, Message, NewConversation, NewMessage, NewUser, Retry,
    Stored, content::Text,
};
use botpress_sandbox::{Fault, Sandbox};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use test_support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

fn numbered(number: usize) -> NewMessage {
    NewMessage::new(CONVERSATION, USER, Text::new(number.to_string()))
}

fn tagged(number: usize) -> NewMessage {
    numbered(number).tag("id", number.to_string())
}

/// The number of times that each message is stored.
fn stored_times(sandbox: &Sandbox) -> HashMap<usize, usize> {
    let mut times = HashMap::new();
    for message in sandbox.messages() {
        let number = message.payload["text"].as_str().unwrap().parse().unwrap();
        *times.entry(number).or_default() += 1;
    }
    times
}

/// Resolves names in 0 to 2.5 milliseconds, so that connections are ready at about the timeout.
struct Slow(SocketAddr);

impl Resolve for Slow {
    fn resolve(&self, _: Name) -> Resolving {
        let address = self.0;
        Box::pin(async move {
            sleep(Duration::from_micros(fastrand::u64(..2_500))).await;
            let addresses: Addrs = Box::new([address].into_iter());
            Ok(addresses)
        })
    }
}

/// A message reported as unsent is not at the server, and none arrives twice: on real sockets and threads, with
/// timeouts that fire while bodies are sent, and with futures that are dropped then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unsent_means_unsent() {
    let sandbox = Sandbox::start().await.unwrap();
    let address: SocketAddr = sandbox.url().strip_prefix("http://").unwrap().parse().unwrap();
    let client = |retry: Retry| {
        let client =
            quick(sandbox.client()).base_url(format!("http://localhost:{}", address.port()));
        let client = client
            .http(move |http| http.dns_resolver(Arc::new(Slow(address))).pool_max_idle_per_host(0));
        client.retry(retry.attempt_timeout(Duration::from_millis(2))).build().unwrap()
    };
    let (once, often) = (
        client(Retry::off()),
        client(Retry::default().max_attempts(4).deadline(Duration::from_millis(500))),
    );
    let send = async |number: usize| {
        let message = numbered(number);
        match number % 3 {
            0 => (number, once.get_or_create(&message).await.err()),
            1 => (number, often.get_or_create(&message).await.err()),
            _ => {
                // Dropped in the middle; then its error is unknown.
                let _ = tokio::time::timeout(
                    Duration::from_micros(1_500),
                    once.get_or_create(&message),
                )
                .await;
                (number, None)
            }
        }
    };
    let results: Vec<_> = stream::iter(0..4_000).map(send).buffer_unordered(96).collect().await;
    sleep(Duration::from_millis(200)).await;
    // Without tags, each request that arrives is stored.
    let arrived = stored_times(&sandbox);
    let unsent = |error: &Option<Error>| error.as_ref().is_some_and(|e| !e.maybe_stored());
    let unsent: Vec<_> = results.iter().filter(|(_, error)| unsent(error)).collect();
    let lies = unsent.iter().filter(|(number, _)| arrived.contains_key(number)).count();
    let twice = arrived.values().filter(|times| **times > 1).count();
    println!("{} unsent, {} arrived, {lies} lies, {twice} twice", unsent.len(), arrived.len());
    assert!(!unsent.is_empty() && !arrived.is_empty());
    assert_eq!((lies, twice), (0, 0), "of {} unsent, {} arrived", unsent.len(), arrived.len());
}

/// How an HTTP/2 server treats a connection's first request; it responds to all others.
#[derive(Clone, Copy, Debug)]
enum First {
    Refuse,
    Break,
}

async fn http2(listener: TcpListener, first: First, requests: Arc<AtomicUsize>) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            let builder = h2::server::Builder::new();
            let mut connection = builder.handshake::<_, Cursor<Vec<u8>>>(connection).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                match (requests.fetch_add(1, Ordering::Relaxed), first) {
                    (0, First::Refuse) => respond.send_reset(h2::Reason::REFUSED_STREAM),
                    (0, First::Break) => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                    _ => {
                        let head = http::Response::builder().body(()).unwrap();
                        let mut body = respond.send_response(head, false).unwrap();
                        let answer = stored().to_string().into_bytes();
                        body.send_data(Cursor::new(answer), true).unwrap();
                    }
                }
            }
        });
    }
}

fn over_http2(address: SocketAddr) -> Client {
    let client = builder(&format!("http://{address}"));
    client.http(|http| http.http2_prior_knowledge()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rejected_stream_was_not_processed() {
    for (first, repeated) in [(First::Refuse, true), (First::Break, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::default();
        let server = tokio::spawn(http2(listener, first, Arc::clone(&requests)));
        let result = over_http2(address).get_or_create(&numbered(1)).await;
        match result {
            Ok(stored) => assert!(repeated && stored.created == Some(true), "{first:?}"),
            Err(error) => {
                assert!(!repeated && error.maybe_stored() && error.attempts() == 1, "{error:?}")
            }
        }
        assert_eq!(requests.load(Ordering::Relaxed), 1 + usize::from(repeated));
        server.abort();
    }
}

/// Over HTTP/2, takes a request until it contains `text`, and sends GOAWAY with the last stream, the error code and
/// the debug data; then the end of what it writes. The caller keeps the connection, so that no reset overtakes that.
async fn go_away(
    listener: &TcpListener,
    text: &str,
    last: u8,
    code: u8,
    debug_data: &str,
) -> TcpStream {
    let (mut connection, _) = listener.accept().await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    connection.write_all(&settings).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        tokio::io::AsyncReadExt::read_buf(&mut connection, &mut seen).await.unwrap();
    }
    let length = 8 + debug_data.len() as u8;
    let frame = [0, 0, length, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, code];
    connection.write_all(&[&frame[..], debug_data.as_bytes()].concat()).await.unwrap();
    connection.shutdown().await.unwrap();
    connection
}

/// A server that shuts down reports in GOAWAY which streams it processed: here none, or the one.
#[tokio::test(start_paused = true)]
async fn a_stream_above_the_last_one_was_not_processed() {
    for (last, repeated) in [(0_u8, true), (1, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            // NO_ERROR.
            let _connection = go_away(&listener, "\"text\":\"1\"", last, 0, "").await;
            http2(listener, First::Refuse, Arc::new(AtomicUsize::new(1))).await;
        });
        match over_http2(address).get_or_create(&numbered(1)).await {
            Ok(stored) => assert!(repeated && stored.created == Some(true)),
            Err(error) => assert!(!repeated && error.maybe_stored(), "{error:?}"),
        }
        server.abort();
    }
}

/// The debug data of a GOAWAY can repeat what the server received.
#[tokio::test(start_paused = true)]
async fn the_debug_data_of_a_goaway_shows_no_secret() {
    let (token, text) = ("bp_pat_secret", "Dear diary");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        // ENHANCE_YOUR_CALM, and the stream is above the last one.
        go_away(&listener, text, 0, 11, &format!("too much of {token}: {text}")).await
    });
    let client = builder(&format!("http://{address}")).token(token).retry(Retry::off());
    let client = client.http(|http| http.http2_prior_knowledge()).build().unwrap();
    let message = NewMessage::new(CONVERSATION, USER, Text::new(text)).tag("id", "1");
    let error = client.get_or_create(&message).await.unwrap_err();
    server.await.unwrap();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("too much of"), "the words arrived: {shown}");
    assert!(!shown.contains(token) && !shown.contains(text), "{shown}");
}

/// Connections from which the server reads one request each, and then nothing.
#[tokio::test(start_paused = true)]
async fn a_dead_http2_connection_fails_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut dead = Vec::new();
        for connections in 0.. {
            let (connection, _) = listener.accept().await.unwrap();
            let builder = h2::server::Builder::new();
            let mut connection = builder.handshake::<_, Cursor<Vec<u8>>>(connection).await.unwrap();
            let answers = async {
                let mut streams = Vec::new();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let head = http::Response::builder().body(()).unwrap();
                    let mut body = respond.send_response(head, false).unwrap();
                    body.send_data(Cursor::new(stored().to_string().into_bytes()), true).unwrap();
                    streams.push(body);
                }
            };
            // The first connection stalls after two seconds, and stays open.
            let life = Duration::from_secs(if connections == 0 { 2 } else { 1_000 });
            let _ = tokio::time::timeout(life, answers).await;
            dead.push(connection);
        }
    });
    let client = over_http2(address);
    client.get_or_create(&tagged(0)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let start = Instant::now();
    client.get_or_create(&tagged(1)).await.unwrap();
    let waited = start.elapsed().as_secs_f64();
    assert!((5.0..15.0).contains(&waited), "the attempt's timeout is 20 seconds: {waited}");
    server.abort();
}

/// A server gives up what was idle for 5 seconds without a notice that arrives in time: after a freeze, the
/// message is sent on a new connection.
#[tokio::test(start_paused = true)]
async fn no_connection_is_used_that_the_server_may_have_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            request(&mut connection).await;
            connection.write_all(&ok(&stored())).await.unwrap();
            open.push(connection); // of which nothing more is read
        }
    });
    let client = client(&url);
    client.get_or_create(&numbered(0)).await.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(client.get_or_create(&numbered(1)).await.unwrap().created, Some(true));
    server.abort();
}

/// A server that stores after it broke the connection, or looks up and stores in two steps: neither
/// repetitions nor clones overlap with a call in flight.
#[tokio::test(start_paused = true)]
async fn no_call_overlaps_with_its_retries_or_equal_calls() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let late = Some(Fault::Late(Duration::from_millis(900)));
    for number in 0..50 {
        sandbox.fail_next([late]);
        client.get_or_create(&tagged(number)).await.unwrap();
    }
    // A call that is dropped leaves its request behind.
    for number in 50..100 {
        sandbox.fail_next([late]);
        let message = tagged(number);
        let dropped = client.get_or_create(&message);
        let _ = tokio::time::timeout(Duration::from_millis(100), dropped).await;
        client.clone().get_or_create(&message).await.unwrap();
    }
    assert!(
        stored_times(&sandbox).values().all(|times| *times == 1),
        "{}",
        sandbox.messages().len()
    );

    let sandbox = Sandbox::builder().lookup_gap(Duration::from_millis(30)).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let send =
        async |number: usize| client.clone().get_or_create(&tagged(number / 2)).await.unwrap();
    let results = join_all((0..400).map(send)).await;
    let created = results.iter().filter(|stored| stored.created == Some(true)).count();
    assert_eq!((created, sandbox.messages().len()), (200, 200));
}

/// Several threads handle webhooks, each three times with one attempt dropped: users, conversations and
/// messages are stored once, by a server that looks up and stores in two steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deliveries_of_several_threads_store_once() {
    let sandbox = Sandbox::builder().lookup_gap(Duration::from_millis(2)).start().await.unwrap();
    let retry = Retry::default().deadline(Duration::from_secs(30));
    let client = quick(sandbox.client()).retry(retry).build().unwrap();
    let webhooks = (0..900).map(|webhook| {
        let (client, number) = (client.clone(), webhook / 3);
        tokio::spawn(async move {
            let user = NewUser::new().tag("id", (number % 30).to_string());
            let place = NewConversation::new("channel").tag("id", (number % 40).to_string());
            let message = Delivery::new(place, user, Text::new(number.to_string()));
            let message = message.tag("id", number.to_string());
            let patience = match webhook % 3 {
                1 => Duration::from_micros(fastrand::u64(..20_000)),
                _ => Duration::from_secs(60),
            };
            let delivery = timeout(patience, client.deliver(&message)).await;
            delivery.is_ok_and(|result| result.is_ok()) || webhook % 3 == 1
        })
    });
    let delivered = join_all(webhooks).await.into_iter().all(Result::unwrap);
    assert!(delivered);
    assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (30, 40));
    let times = stored_times(&sandbox);
    assert!(times.len() == 300 && times.values().all(|times| *times == 1), "{times:?}");
}

async fn all_at_once(client: &Client, count: usize) -> Vec<Result<Stored<Message>, Error>> {
    let send = async |number: usize| client.clone().get_or_create(&tagged(number)).await;
    join_all((0..count).map(send)).await
}

#[tokio::test(start_paused = true)]
async fn the_window_is_counted_down_here() {
    struct Case {
        /// Calls that start together against 100 a second.
        count: usize,
        /// The most rejections.
        rejected: u64,
        /// The longest time.
        seconds: f64,
    }
    let cases = [
        Case { count: 1_000, rejected: 110, seconds: 11.0 },
        Case { count: 3_000, rejected: 130, seconds: 33.0 },
    ];
    for Case { count, rejected, seconds } in cases {
        for latency in [0, 20] {
            let sandbox = Sandbox::builder().requests_per_second(100);
            let sandbox = sandbox.latency(Duration::from_millis(latency)).start().await.unwrap();
            let patient = Retry::default().deadline(Duration::from_secs(120));
            let client = quick(sandbox.client()).retry(patient).build().unwrap();
            let start = Instant::now();
            let results = all_at_once(&client, count).await;
            assert!(results.iter().all(Result::is_ok));
            let (waited, found) = (start.elapsed().as_secs_f64(), sandbox.rejected());
            println!("{count} at {latency} ms: {found} rejected, {waited} s");
            assert!(found <= rejected && waited <= seconds, "{found} rejected, {waited} s");
        }
    }
}

/// The results of a stream are awaited one by one, so its other calls are not polled meanwhile.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_blocks_no_other() {
    for per_second in [1, 3, 100] {
        let sandbox = Sandbox::builder().requests_per_second(per_second).start().await.unwrap();
        let in_time = Retry::default().deadline(Duration::from_secs(20));
        let client = quick(sandbox.client()).retry(in_time).build().unwrap();
        let call = async |number: usize| client.get_or_create(&tagged(number)).await;
        let first = stream::iter(0..12).map(call).buffer_unordered(16);
        let second = first.enumerate().then(async |(number, _)| call(100 + number).await);
        let failed: Vec<_> = second.filter_map(async |result| result.err()).collect().await;
        assert!(failed.is_empty(), "{} of 12 at {per_second}: {:?}", failed.len(), failed[0]);
    }
}

/// Two processes share the limit without knowing of each other.
#[tokio::test(start_paused = true)]
async fn others_use_the_window_too() {
    let sandbox = Sandbox::builder().requests_per_second(100).start().await.unwrap();
    let clients = [(); 2].map(|()| quick(sandbox.client()).build().unwrap());
    let send = async |number: usize| clients[number % 2].get_or_create(&tagged(number)).await;
    let results: Vec<_> = stream::iter(0..2_000).map(send).buffer_unordered(32).collect().await;
    assert!(results.iter().all(Result::is_ok));
    assert!(sandbox.rejected() < 400, "{} rejected", sandbox.rejected());
}

/// The numbers of two responses to requests in flight together: the later one counts.
#[tokio::test(start_paused = true)]
async fn a_response_with_requests_left_allows_more() {
    let figures = |remaining: u64| {
        let headers =
            format!("RateLimit-Remaining: {remaining}\r\nX-RateLimit-Reset: 1787000000\r\n");
        http("200 OK", &headers, &stored().to_string())
    };
    let (url, _) = script(vec![figures(0), figures(50), figures(49)]).await;
    let client = client(&url);
    let start = Instant::now();
    assert!(all_at_once(&client, 2).await.iter().all(Result::is_ok));
    client.get_or_create(&tagged(2)).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

/// Headers of the 429 to every request: a call makes the allowed number of requests, and no more.
#[tokio::test(start_paused = true)]
async fn max_attempts_bounds_the_requests() {
    for hint in ["Retry-After: 1\r\n", "Retry-After: 0.01\r\n", "RateLimit-Reset: 1\r\n", ""] {
        let (url, server) = script(vec![http("429 Too Many Requests", hint, ""); 100]).await;
        let client = builder(&url);
        let client = client.retry(Retry::default().max_attempts(2)).build().unwrap();
        let start = Instant::now();
        let error = client.get_or_create(&hello()).await.unwrap_err();
        assert_eq!((error.attempts(), error.maybe_stored()), (2, false), "{hint}");
        assert!(start.elapsed() >= Duration::from_millis(100), "{hint}: hints have a floor");
        server.abort();
    }
}

/// Other processes use the limit up for 45 of the 60 seconds.
#[tokio::test(start_paused = true)]
async fn the_default_survives_a_used_up_limit() {
    let calls = (0..20).map(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let start = Instant::now();
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                request(&mut connection).await;
                let answer = match start.elapsed().as_secs() < 45 {
                    true => http("429 Too Many Requests", "RateLimit-Reset: 1\r\n", ""),
                    false => ok(&stored()),
                };
                connection.write_all(&answer).await.unwrap();
            }
        });
        client(&url).get_or_create(&numbered(1)).await.unwrap();
        server.abort();
    });
    join_all(calls).await;
}

/// With a wait that leaves too little time for an attempt, none is made.
#[tokio::test(start_paused = true)]
async fn no_attempt_starts_without_the_time_that_it_needs() {
    let (url, server) =
        script(vec![http("429 Too Many Requests", "Retry-After: 2.98\r\n", "")]).await;
    let client = builder(&url);
    let client = client.retry(Retry::default().deadline(Duration::from_secs(3))).build().unwrap();
    let start = Instant::now();
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert_eq!((error.attempts(), error.maybe_stored(), start.elapsed().as_secs()), (1, false, 0));
    assert_eq!(server.await.unwrap().len(), 1);
}

/// Calls while nothing responds for more than two minutes; and a few failures, which are no outage.
#[tokio::test(start_paused = true)]
async fn an_outage_is_not_made_worse() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&url);
    let mut requests = [0; 4];
    for requests in &mut requests {
        let errors = all_at_once(&client, 300).await;
        *requests = errors.into_iter().map(|result| result.unwrap_err().attempts()).sum::<u32>();
    }
    println!("{requests:?} requests");
    assert!(requests[0] > 3_000, "a minute is no outage: {requests:?}");
    assert!((300..=600).contains(&requests[3]), "{requests:?}");

    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    sandbox.fail_next([Some(Fault::Page { status: 502, stored: false }); 10]);
    assert!(all_at_once(&client, 1).await[0].is_ok(), "a few failures are no outage");
}

/// Closing ends waits, not attempts.
#[tokio::test(start_paused = true)]
async fn a_closed_client_waits_for_nothing() {
    let sandbox = Sandbox::builder().latency(Duration::from_secs(2)).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let calls = [hello(), tagged(7)].map(|message| {
        let client = client.clone();
        tokio::spawn(async move { client.get_or_create(&message).await })
    });
    sandbox.fail_next([Some(Fault::Limited(30))]);
    sleep(Duration::from_secs(1)).await;
    client.close();
    let start = Instant::now();
    let results = join_all(calls).await;
    let failed: Vec<_> =
        results.iter().filter_map(|r| r.as_ref().unwrap().as_ref().err()).collect();
    assert_eq!(failed.len(), 1, "the other attempt went on to its end");
    assert!(failed[0].is_rate_limited() && failed[0].attempts() == 1, "{:?}", failed[0]);
    assert!(start.elapsed() < Duration::from_secs(2));
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed) && error.attempts() == 0, "{error:?}");
}
