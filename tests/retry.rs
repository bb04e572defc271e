//! Storing once: when a call is retried, how long it waits, and what its result means.
//!
//! Time is paused: waits pass as soon as nothing else happens, and can be checked exactly.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use botpress_messages::{ErrorKind, NewMessage, Retry, content::Text};
use botpress_sandbox::{Fault, Sandbox};
use futures_util::{StreamExt, stream};
use test_support::*;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// A message that no tag identifies.
fn unidentified() -> NewMessage {
    NewMessage::new(CONVERSATION, USER, Text::new("Hello")).tag("id", "")
}

#[tokio::test(start_paused = true)]
async fn calls_are_retried_where_that_is_safe() {
    enum Safe {
        Always,
        /// Only if tags identify the message.
        IfIdentified,
        Never,
    }
    use Safe::{Always, IfIdentified, Never};
    struct Case {
        /// The faults of the first two attempts.
        fault: Fault,
        retry: Safe,
        /// Whether the first attempt stores it.
        maybe_stored: bool,
    }
    let faults = [false, true].map(|stored| {
        [
            Fault::Reset { stored },
            Fault::Silence { stored },
            Fault::Page { status: 502, stored },
            Fault::Error { status: 500, stored },
        ]
    });
    let outages = faults.into_iter().flatten();
    let outages = outages.map(|fault| Case { fault, retry: IfIdentified, maybe_stored: true });
    let others = [
        Case {
            fault: Fault::Page { status: 503, stored: true },
            retry: IfIdentified,
            maybe_stored: true,
        },
        Case {
            fault: Fault::Error { status: 503, stored: false },
            retry: IfIdentified,
            maybe_stored: true,
        },
        Case {
            fault: Fault::Error { status: 504, stored: true },
            retry: IfIdentified,
            maybe_stored: true,
        },
        Case { fault: Fault::Page { status: 200, stored: true }, retry: Never, maybe_stored: true },
        Case {
            fault: Fault::Late(Duration::from_millis(500)),
            retry: IfIdentified,
            maybe_stored: true,
        },
        Case {
            fault: Fault::Page { status: 408, stored: false },
            retry: Always,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Error { status: 408, stored: false },
            retry: Always,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Error { status: 425, stored: false },
            retry: Always,
            maybe_stored: false,
        },
        Case { fault: Fault::Truncated, retry: IfIdentified, maybe_stored: true },
        Case { fault: Fault::Limited(1), retry: Always, maybe_stored: false },
        Case {
            fault: Fault::Page { status: 429, stored: false },
            retry: Always,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Error { status: 400, stored: false },
            retry: Never,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Error { status: 401, stored: false },
            retry: Never,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Error { status: 409, stored: false },
            retry: Never,
            maybe_stored: false,
        },
        Case {
            fault: Fault::Page { status: 403, stored: false },
            retry: Never,
            maybe_stored: true,
        },
        Case {
            fault: Fault::Page { status: 302, stored: false },
            retry: Never,
            maybe_stored: true,
        },
    ];
    for Case { fault, retry, maybe_stored } in outages.chain(others) {
        let [if_identified, otherwise] = match retry {
            Always => [true, true],
            IfIdentified => [true, false],
            Never => [false, false],
        };
        for (message, repeated) in [(hello(), if_identified), (unidentified(), otherwise)] {
            let sandbox = Sandbox::start().await.unwrap();
            let client = quick(sandbox.client()).build().unwrap();
            sandbox.fail_next([Some(fault), Some(fault)]);
            match client.get_or_create(&message).await {
                Ok(stored) => {
                    assert!(repeated, "{fault:?} was repeated");
                    assert_eq!(sandbox.messages().len(), 1, "{fault:?}");
                    // It is unknown whether an earlier attempt stored it.
                    let truth = if maybe_stored {
                        stored.created != Some(false)
                    } else {
                        stored.created == Some(true)
                    };
                    assert!(truth, "{fault:?}: {:?}", stored.created);
                }
                Err(error) => {
                    assert!(!repeated, "{fault:?}: {error}");
                    assert_eq!(
                        (error.attempts(), error.maybe_stored()),
                        (1, maybe_stored),
                        "{fault:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unsent_requests_are_always_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let start = Instant::now();
    let error = client(&url).get_or_create(&unidentified()).await.unwrap_err();
    assert_eq!((error.maybe_stored(), is_transport(&error)), (false, true), "{error:?}");
    assert!((10..=20).contains(&error.attempts()), "{error}");
    // 0.1, 0.2, 0.4, ... up to 4 seconds, plus a random time up to the same length, until the deadline.
    let waited = start.elapsed().as_secs_f64();
    assert!((50.0..=59.0).contains(&waited), "{waited}");
    let start = Instant::now();
    client(&url).get_or_create(&unidentified()).await.unwrap_err();
    assert_ne!(start.elapsed().as_millis(), (waited * 1e3) as u128, "calls do not wait in step");
}

#[tokio::test(start_paused = true)]
async fn the_policy_bounds_attempts_and_time() {
    struct Case {
        retry: Retry,
        attempts: Option<u32>,
        seconds: RangeInclusive<f64>,
    }
    let cases = [
        Case { retry: Retry::off(), attempts: Some(1), seconds: 0.0..=0.1 },
        Case { retry: Retry::default().max_attempts(0), attempts: Some(1), seconds: 0.0..=0.1 },
        Case { retry: Retry::default().max_attempts(3), attempts: Some(3), seconds: 2.0..=3.1 },
        Case { retry: Retry::default().max_attempts(1000), attempts: None, seconds: 50.0..=60.01 },
        Case {
            retry: Retry::default().max_attempts(1000).deadline(Duration::from_secs(10)),
            attempts: None,
            seconds: 2.0..=10.01,
        },
        Case {
            retry: Retry::default().max_attempts(3).deadline(Duration::MAX),
            attempts: Some(3),
            seconds: 2.0..=3.1,
        },
    ];
    for Case { retry, attempts, seconds } in cases {
        let sandbox = Sandbox::builder().storm(1, 1.0).start().await.unwrap();
        sandbox.fail_next([Some(Fault::Error { status: 500, stored: false }); 1000]);
        let client = quick(sandbox.client()).retry(retry).build().unwrap();
        let start = Instant::now();
        let error = client.get_or_create(&hello()).await.unwrap_err();
        assert_eq!(error.attempts(), attempts.unwrap_or(error.attempts()), "{retry:?}: {error}");
        let waited = start.elapsed().as_secs_f64();
        assert!(seconds.contains(&waited), "{retry:?}: {waited}");
    }
}

/// A server that hangs cannot hold a call longer than its deadline.
#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_an_attempt_short() {
    let sandbox = Sandbox::start().await.unwrap();
    let retry = Retry::default().attempt_timeout(Duration::from_secs(20));
    let client = quick(sandbox.client()).retry(retry).build().unwrap();
    sandbox.fail_next([Some(Fault::Silence { stored: true }); 9]);
    let start = Instant::now();
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert!(error.is_timeout() && error.maybe_stored(), "{error:?}");
    let late = start.elapsed().saturating_sub(Duration::from_secs(60));
    assert!(error.attempts() == 3 && late < Duration::from_millis(5), "{error}, {late:?} late");

    let none =
        quick(sandbox.client()).retry(Retry::default().deadline(Duration::ZERO)).build().unwrap();
    let error = none.get_or_create(&hello()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Deadline), "{error:?}");
    assert!(error.is_timeout() && error.attempts() == 0 && !error.maybe_stored(), "{error:?}");
}

/// The headers of a 429, and how long the second attempt waits for it.
#[tokio::test(start_paused = true)]
async fn hints_are_honoured() {
    struct Case {
        headers: &'static str,
        seconds: u64,
    }
    let cases = [
        Case { headers: "Retry-After: 7\r\n", seconds: 7 },
        Case { headers: "RateLimit-Reset: 1\r\n", seconds: 1 },
        Case { headers: "RateLimit-Reset: 8\r\n", seconds: 8 },
        Case { headers: "X-RateLimit-Reset: 9\r\n", seconds: 9 },
        Case {
            headers: "Date: Wed, 19 Aug 2026 10:00:00 GMT\r\nX-RateLimit-Reset: 1787133601\r\n",
            seconds: 1,
        },
        Case {
            headers: "Date: Wed, 19 Aug 2026 10:00:00 GMT\r\nX-RateLimit-Reset: 1787133601500\r\n",
            seconds: 1,
        },
        Case {
            headers: "Date: Wed, 19 Aug 2026 10:00:00 GMT\r\nRetry-After: Wed, 19 Aug 2026 10:00:11 GMT\r\n",
            seconds: 11,
        },
        Case { headers: "Retry-After: 0\r\n", seconds: 0 },
        Case { headers: "", seconds: 0 },
    ];
    for Case { headers, seconds } in cases {
        let rejected = http("429 Too Many Requests", headers, "");
        let (url, _) = script(vec![rejected, ok(&stored())]).await;
        let start = Instant::now();
        let message = client(&url).get_or_create(&unidentified()).await.unwrap();
        assert_eq!(
            (start.elapsed().as_secs(), message.created),
            (seconds, Some(true)),
            "{headers}"
        );
    }
    // For any other failure the window does not matter, but an explicit `Retry-After` does.
    for (headers, seconds) in
        [("RateLimit-Reset: 9\r\nRateLimit-Remaining: 5\r\n", 1), ("Retry-After: 9\r\n", 9)]
    {
        let (url, _) =
            script(vec![http("503 Service Unavailable", headers, ""), ok(&stored())]).await;
        let start = Instant::now();
        client(&url).get_or_create(&hello()).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), seconds, "{headers}");
    }
}

/// A call that does not wait learns immediately that the window is used up; the next window takes calls again.
#[tokio::test(start_paused = true)]
async fn a_call_may_fail_fast_at_the_limit() {
    let sandbox = Sandbox::builder().requests_per_second(3).start().await.unwrap();
    let client =
        quick(sandbox.client()).retry(Retry::default().fail_fast_at_limit()).build().unwrap();
    let start = Instant::now();
    for number in 0..3 {
        client.get_or_create(&hello().tag("id", number.to_string())).await.unwrap();
    }
    let error = client.get_or_create(&hello().tag("id", "4")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RateLimit(_)), "{error:?}");
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    // Only the API knows this, so one call asks.
    sandbox.fail_next([Some(Fault::Limited(1))]);
    sleep(Duration::from_secs(2)).await;
    let error = client.get_or_create(&hello().tag("id", "5")).await.unwrap_err();
    assert_eq!((error.attempts(), error.status().unwrap().as_u16()), (1, 429));
    sleep(Duration::from_secs(2)).await;
    client.get_or_create(&hello().tag("id", "6")).await.unwrap();
    assert_eq!(sandbox.rejected(), 0);
}

/// The server asks for a wait beyond the call's deadline: the call ends immediately, and so do calls of its clones,
/// which send nothing.
#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_deadline_ends_the_call() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    sandbox.fail_next([Some(Fault::Limited(100))]);
    let start = Instant::now();
    for attempts in [1, 0] {
        let error = client.clone().get_or_create(&hello()).await.unwrap_err();
        assert_eq!(error.attempts(), attempts);
        assert_eq!(error.retry_after().unwrap().as_secs_f64().ceil(), 100.0);
        assert!(error.is_rate_limited() && !error.maybe_stored(), "{error:?}");
        assert_eq!(start.elapsed().as_secs(), 0);
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(client.get_or_create(&hello()).await.unwrap().created, Some(true));
}

/// If an attempt may have stored the message, a later error does not change that.
#[tokio::test(start_paused = true)]
async fn the_truth_covers_all_attempts() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let rejected = Some(Fault::Error { status: 401, stored: false });
    sandbox.fail_next([Some(Fault::Reset { stored: true }), rejected]);
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert!(error.is_auth() && error.maybe_stored() && error.attempts() == 2, "{error:?}");

    let cases = [
        (vec![], Some(false)),
        (vec![Some(Fault::Limited(1))], Some(false)),
        (vec![Some(Fault::Truncated)], None),
        (
            vec![
                Some(Fault::Limited(1)),
                Some(Fault::Reset { stored: false }),
                Some(Fault::Limited(1)),
            ],
            None,
        ),
    ];
    for (faults, created) in cases {
        sandbox.fail_next(faults.clone());
        assert_eq!(client.get_or_create(&hello()).await.unwrap().created, created, "{faults:?}");
    }
    // An attempt that reports that it created the message is certain.
    sandbox.fail_next([Some(Fault::Reset { stored: false })]);
    assert_eq!(client.get_or_create(&hello().tag("id", "2")).await.unwrap().created, Some(true));
}

#[test]
fn empty_values_identify_nothing() {
    struct Case {
        tags: &'static [(&'static str, &'static str)],
        discriminators: &'static [&'static str],
        identified: bool,
    }
    let cases = [
        Case { tags: &[], discriminators: &[], identified: false },
        Case { tags: &[("a", "")], discriminators: &[], identified: false },
        Case { tags: &[("a", "1")], discriminators: &[], identified: true },
        Case { tags: &[("a", "1"), ("b", "")], discriminators: &[], identified: false },
        Case { tags: &[("a", "1"), ("b", "")], discriminators: &["b"], identified: false },
        Case { tags: &[("a", "1"), ("b", "")], discriminators: &["a", "b"], identified: false },
        Case { tags: &[("a", "1"), ("b", "")], discriminators: &["a"], identified: true },
        Case { tags: &[("a", "1")], discriminators: &["a"], identified: true },
        Case { tags: &[("a", "1")], discriminators: &["b"], identified: false },
    ];
    for Case { tags, discriminators, identified } in cases {
        let message =
            NewMessage::new(CONVERSATION, USER, Text::new("")).with_tags(tags.iter().copied());
        let message = message.discriminate_by_tags(discriminators.iter().copied());
        assert_eq!(message.is_identified(), identified, "{tags:?} {discriminators:?}");
    }
}

/// A client that knows that the window is used up sends nothing.
#[tokio::test(start_paused = true)]
async fn no_call_starts_before_the_window_does() {
    let sandbox = Sandbox::builder().requests_per_second(3).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let start = Instant::now();
    for number in 0..7 {
        client.clone().get_or_create(&hello().tag("id", number.to_string())).await.unwrap();
    }
    assert_eq!((sandbox.rejected(), start.elapsed().as_secs()), (0, 2));
}

/// 3,000 messages, 16 in parallel, 100 a second, over a network of this latency in milliseconds.
#[tokio::test(start_paused = true)]
async fn the_rate_limit_is_kept_without_losing_time() {
    for latency in [0, 50] {
        let sandbox = Sandbox::builder().requests_per_second(100);
        let sandbox = sandbox.latency(Duration::from_millis(latency)).start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        let start = Instant::now();
        let send = async |number: usize| {
            client.clone().get_or_create(&hello().tag("id", number.to_string())).await
        };
        let results: Vec<_> = stream::iter(0..3000).map(send).buffer_unordered(16).collect().await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(sandbox.messages().len(), 3000);
        let seconds = start.elapsed().as_secs_f64();
        let rejected = sandbox.rejected();
        println!("{rejected} rejected, {seconds} s at {latency} ms");
        assert!((29.0..30.45).contains(&seconds), "{seconds} at {latency} ms");
        assert!(rejected < 30, "{rejected} more were answered 429");
    }
}

/// The headers of a 429, and after how many seconds the next call of a clone is sent.
#[tokio::test(start_paused = true)]
async fn clones_wait_as_a_429_asks_within_reason() {
    struct Case {
        headers: &'static str,
        seconds: u64,
    }
    let cases = [
        Case { headers: "RateLimit-Reset: 0\r\n", seconds: 1 },
        Case { headers: "RateLimit-Reset: 3\r\n", seconds: 3 },
        Case { headers: "Retry-After: 5\r\nRateLimit-Reset: 1\r\n", seconds: 5 },
        Case { headers: "Retry-After: 0\r\nRateLimit-Reset: 2\r\n", seconds: 2 },
        Case { headers: "RateLimit-Remaining: 0\r\nRateLimit-Reset: 99999999\r\n", seconds: 1 },
        Case { headers: "X-RateLimit-Reset: 1787000000\r\n", seconds: 1 },
        Case { headers: "Retry-After: 1e30\r\n", seconds: 120 },
        Case { headers: "Retry-After: -1\r\n", seconds: 0 },
        Case { headers: "", seconds: 0 },
    ];
    for Case { headers, seconds } in cases {
        let (url, _) =
            script(vec![http("429 Too Many Requests", headers, ""), ok(&stored())]).await;
        let client = builder(&url);
        let patient = Retry::off().deadline(Duration::MAX);
        let client = client.retry(patient).build().unwrap();
        client.get_or_create(&hello()).await.unwrap_err();
        let start = Instant::now();
        client.clone().get_or_create(&hello()).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), seconds, "{headers}");
    }
}

/// A conflict with a lock that another request holds briefly stores nothing.
#[tokio::test(start_paused = true)]
async fn a_locked_resource_is_asked_for_again() {
    for (type_, attempts) in [("ResourceLockedConflict", 2), ("AlreadyExists", 1)] {
        let body = format!(r#"{{"type":"{type_}","message":"no"}}"#);
        let rejected = http("409 Conflict", "Retry-After: 3\r\n", &body);
        let (url, _) = script(vec![rejected, ok(&stored())]).await;
        let start = Instant::now();
        match client(&url).get_or_create(&unidentified()).await {
            Ok(stored) => assert_eq!((stored.created, attempts), (Some(true), 2)),
            Err(error) => assert_eq!((error.attempts(), error.maybe_stored()), (attempts, false)),
        }
        assert_eq!(start.elapsed().as_secs(), if attempts == 2 { 3 } else { 0 }, "{type_}");
    }
}

/// A host that drops packets: there is no connection before the timeout, so nothing was sent.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn without_a_connection_in_time_nothing_is_stored() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let queue = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
    let client = builder(&format!("http://{address}"));
    let client = client.build().unwrap();
    let error = client.get_or_create(&unidentified()).await.unwrap_err();
    assert!(error.is_timeout() && !error.maybe_stored() && error.attempts() > 5, "{error:?}");
    drop(queue);
}

/// A call that is dropped at any await leaves the client usable and no work behind.
#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_at_any_time() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    client.get_or_create(&hello()).await.unwrap();
    let before = tasks();
    let faults = [
        Fault::Silence { stored: false },
        Fault::Limited(30),
        Fault::Error { status: 500, stored: false },
    ];
    for fault in faults {
        for milliseconds in [0, 1, 50, 5_000] {
            sandbox.fail_next([Some(fault)]);
            let message = hello();
            let call = client.get_or_create(&message);
            let limit = Duration::from_millis(milliseconds);
            let _ = tokio::time::timeout(limit, call).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            let usual = client.get_or_create(&hello()).await;
            assert!(usual.is_ok(), "{fault:?} after {milliseconds} ms: {usual:?}");
        }
    }
    assert!(tasks() <= before + 4, "only idle connections are left: {} and {before}", tasks());
    assert_eq!(sandbox.messages().len(), 1);
}

/// 10,000 messages while three in ten requests fail.
#[tokio::test(start_paused = true)]
async fn a_storm_loses_nothing_and_duplicates_nothing() {
    let sandbox = Sandbox::builder().storm(20_260_819, 0.3).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    let send = async |number: usize| {
        let message = NewMessage::new(CONVERSATION, USER, Text::new(number.to_string()));
        // Every fourth message has no tags.
        let identified = !number.is_multiple_of(4);
        let message = if identified { message.tag("id", number.to_string()) } else { message };
        (number, identified, client.get_or_create(&message).await)
    };
    let results: Vec<_> = stream::iter(0..10_000).map(send).buffer_unordered(64).collect().await;

    let mut times_stored = BTreeMap::<usize, usize>::new();
    for message in sandbox.messages() {
        *times_stored
            .entry(message.payload["text"].as_str().unwrap().parse().unwrap())
            .or_default() += 1;
    }
    let (mut failed, mut reported) = ([0, 0], 0);
    for (number, identified, result) in results {
        let times = times_stored.get(&number).copied().unwrap_or_default();
        match result {
            Ok(stored) => {
                assert_eq!(
                    (times, stored.record.payload["text"].as_str()),
                    (1, Some(&*number.to_string()))
                );
                reported += usize::from(identified);
            }
            Err(error) => {
                failed[usize::from(identified)] += 1;
                assert!(times <= 1, "{number} is stored {times} times");
                assert!(times == 0 || error.maybe_stored(), "{number} is stored: {error}");
                assert!(identified || error.attempts() >= 1);
            }
        }
        assert!(!identified || times == 1, "{number} is stored {times} times");
    }
    assert!(reported >= 7_493, "of 7,500 identified messages, {reported} were reported stored");
    assert!(failed[0] > 500, "the storm struck: {failed:?}");
}

/// The server has counted the request of a call that was dropped, so it keeps its place in the window.
#[tokio::test(start_paused = true)]
async fn dropped_calls_do_not_exceed_the_rate_limit() {
    let latency = Duration::from_millis(100);
    let sandbox = Sandbox::builder().requests_per_second(9).latency(latency).start().await.unwrap();
    let client = quick(sandbox.client()).build().unwrap();
    client.get_or_create(&hello()).await.unwrap();
    for number in 0..60 {
        let message = hello().tag("id", format!("dropped {number}"));
        let _ = timeout(Duration::from_millis(20), client.get_or_create(&message)).await;
    }
    client.get_or_create(&hello()).await.unwrap();
    assert_eq!(sandbox.rejected(), 0);
}

/// The window of a minute, as the vendor documents one: calls wait for its end instead of polling.
#[tokio::test(start_paused = true)]
async fn a_window_of_a_minute_is_waited_for() {
    let limited = |remaining: u64| {
        format!(
            "RateLimit-Limit: 30\r\nRateLimit-Remaining: {remaining}\r\nRateLimit-Reset: 60\r\nconnection: close\r\n"
        )
    };
    let body = stored().to_string();
    let too_many = r#"{"type":"RateLimited","message":"no"}"#;
    let (url, requests) = script(vec![
        http("200 OK", &limited(0), &body),
        http("429 Too Many Requests", &limited(0), too_many),
        http("200 OK", &limited(29), &body),
    ])
    .await;
    let patient = Retry::default().deadline(Duration::from_secs(600));
    let client = builder(&url).retry(patient).build().unwrap();
    let start = Instant::now();
    client.get_or_create(&hello()).await.unwrap();
    client.get_or_create(&hello()).await.unwrap();
    // One probe after ten seconds, then the minute that the server asks for.
    assert_eq!(start.elapsed().as_secs(), 70);
    assert_eq!(requests.await.unwrap().len(), 3);
    // A webhook does not wait.
    let (url, _) = script(vec![http("200 OK", &limited(0), &body)]).await;
    let client = builder(&url).retry(Retry::default().deadline(Duration::from_secs(2))).build();
    let client = client.unwrap();
    client.get_or_create(&hello()).await.unwrap();
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RateLimit(_)), "{error:?}");
    assert!(error.retry_after().unwrap() > Duration::from_secs(50), "{error:?}");
}

/// Without a length, a response that breaks off looks whole to HTTP.
#[tokio::test(start_paused = true)]
async fn a_response_without_length_that_is_cut_off_is_retried_if_tags_identify_the_message() {
    let body = stored().to_string();
    let cut = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", &body[..body.len() / 2]);
    let responses = || vec![cut.clone().into_bytes(), ok(&stored())];
    let (url, _) = script(responses()).await;
    assert_eq!(client(&url).get_or_create(&hello()).await.unwrap().created, Some(true));
    let (url, _) = script(responses()).await;
    let error = client(&url).get_or_create(&unidentified()).await.unwrap_err();
    assert!(error.maybe_stored() && error.attempts() == 1 && !error.should_repeat(), "{error}");
}
