//! How a client is set up, and what it refuses to be set up with.
#![allow(clippy::type_complexity)] // tables of cases

use std::env;
use std::process::Command;
use std::time::Duration;

use botpress_messages::{Builder, Client};
use test_support::*;

fn complete() -> Builder {
    Client::builder().token(TOKEN).bot_id("bot").no_integration()
}

#[test]
fn what_cannot_be_is_named() {
    let cases: [(&str, Builder, &str); 24] = [
        (
            "no integration",
            Client::builder().token(TOKEN).bot_id("bot"),
            "Builder::integration_id, integration_alias or no_integration is missing",
        ),
        ("no token", Client::builder().bot_id("bot"), "Builder::token is missing"),
        ("no bot", Client::builder().token(TOKEN), "Builder::bot_id is missing"),
        ("empty token", Client::builder().token("").bot_id("b"), "Builder::token is missing"),
        ("blank token", complete().token("  "), "the token cannot be sent"),
        ("empty alias", complete().integration_alias(""), "the integration alias cannot be sent"),
        ("token", complete().token("bp_pat_5ecret\n"), "the token cannot be sent"),
        ("token", complete().token("bp_pat_5ecret\u{e9}"), "the token cannot be sent"),
        ("bot", complete().bot_id("b\r\nx: y"), "the bot id cannot be sent"),
        ("integration", complete().integration_id("\0"), "the integration id cannot be sent"),
        ("alias", complete().integration_alias("é"), "the integration alias cannot be sent"),
        ("url", complete().base_url("api.botpress.cloud"), "the base URL is not a URL"),
        ("url", complete().base_url(""), "the base URL is not a URL"),
        ("http", complete().base_url("http://api.botpress.cloud"), "would expose the token"),
        ("http", complete().base_url("http://127.0.0.1.example.com"), "would expose the token"),
        ("http", complete().base_url("http://localhost.example.com"), "would expose the token"),
        ("http", complete().base_url("http://0.0.0.0:80"), "would expose the token"),
        ("ftp", complete().base_url("ftp://localhost"), "would expose the token"),
        ("user", complete().base_url("https://u:bp_pat_5ecret@localhost"), "no user, password"),
        ("query", complete().base_url("https://localhost?a=1"), "no user, password"),
        ("fragment", complete().base_url("https://localhost#a"), "no user, password"),
        ("header", complete().header("x y", "1"), "the header \"x y\" cannot be sent"),
        ("header", complete().header("x", "bp_pat_5ecret\n"), "the header \"x\" cannot be sent"),
        ("header", complete().header("Authorization", "1"), "is set by the client itself"),
    ];
    for (name, builder, text) in cases {
        let error = builder.build().expect_err(name);
        assert!(error.is_config() && !error.maybe_stored(), "{name}: {error:?}");
        assert!(error.to_string().contains(text), "{name}: {error} lacks {text}");
        assert!(!format!("{error} {error:?}").contains("5ecret"), "{name}: {error:?}");
    }
}

#[test]
fn what_can_be_is_taken() {
    let urls = [
        "https://api.botpress.cloud",
        "https://example.com/stem/",
        "http://localhost:1",
        "http://127.0.0.1:1",
        "http://127.9.9.9",
        "http://[::1]:1/",
    ];
    for url in urls {
        assert!(complete().base_url(url).build().is_ok(), "{url}");
    }
    let full = complete()
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(1))
        .header("x-trace", "1");
    assert!(full.build().is_ok());
}

/// One host can be vouched for, and no other.
#[test]
fn clear_text_goes_where_the_caller_says() {
    let to = |url: &str| complete().base_url(url).danger_send_token_in_clear_text_to("sandbox");
    assert!(to("http://sandbox:8080").build().is_ok());
    for url in ["http://sandbox.example.com", "http://example.com", "ftp://sandbox"] {
        assert!(to(url).build().unwrap_err().to_string().contains("expose the token"), "{url}");
    }
}

#[test]
fn no_secret_is_shown() {
    fn cookie(http: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let cookie = (reqwest::header::COOKIE, "5ecret".parse().unwrap());
        http.default_headers([cookie].into_iter().collect())
    }
    let builder = complete().header("x-key", "5ecret").http(cookie);
    let shown = format!("{builder:?} {builder:#?}");
    let client = builder.build().unwrap();
    let shown = format!("{shown} {client:?} {client:#?}");
    assert!(!shown.contains("5ecret"), "{shown}");
}

/// The environment belongs to a process, so each case is one: this test, run again.
#[test]
fn the_environment_fills_what_is_not_set() {
    const TEST: &str = "the_environment_fills_what_is_not_set";
    if env::var_os("SHOW_CLIENT").is_some() {
        let explicit = Client::builder().bot_id("explicit").env().build();
        return println!("{:?} {:?}", Client::from_env(), explicit);
    }
    const TOKEN: (&str, &str) = ("BP_TOKEN", "bp_pat_5ecret");
    const BOT: (&str, &str) = ("BP_BOT_ID", "from-env");
    const INTEGRATION: (&str, &str) = ("BP_INTEGRATION_ID", "slack");
    let cases: [(&[(&str, &str)], &[&str]); 9] = [
        (&[], &["BP_TOKEN is missing: set it, or call Builder::token"]),
        (&[TOKEN, INTEGRATION], &["BP_BOT_ID is missing: set it", "bot_id: \"explicit\""]),
        (&[("BP_TOKEN", ""), BOT, INTEGRATION], &["BP_TOKEN is missing"]),
        (
            &[TOKEN, BOT],
            &[
                "BP_INTEGRATION_ID is missing: set it, or call Builder::integration_id, integration_alias",
            ],
        ),
        (&[TOKEN, BOT, ("BP_INTEGRATION_ID", "")], &["BP_INTEGRATION_ID is missing"]),
        (&[("BP_TOKEN", "bp_pat_5ecret\n"), BOT, INTEGRATION], &["the token cannot be sent"]),
        (&[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "http://x")], &["would expose the token"]),
        (
            &[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "")],
            &["bot_id: \"from-env\"", "bot_id: \"explicit\"", "\"https://api.botpress.cloud\""],
        ),
        (
            &[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "http://[::1]:1/")],
            &["integration_id: Some(\"slack\")", "\"http://[::1]:1\""],
        ),
    ];
    for (variables, expected) in cases {
        let test = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env_clear()
            .env("SHOW_CLIENT", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let shown = String::from_utf8(test.stdout).unwrap();
        for expected in expected {
            assert!(shown.contains(expected), "{variables:?}: {shown} lacks {expected}");
        }
        assert!(!shown.contains("5ecret"), "{shown}");
    }
}
