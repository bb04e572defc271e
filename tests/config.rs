//! Client settings: which are valid, which are rejected, and what the environment adds.

use std::env;
use std::process::Command;
use std::time::Duration;

use botpress_messages::{Builder, Client};
use test_support::*;

fn complete() -> Builder {
    Client::builder().token(TOKEN).bot_id("bot").no_integration()
}

#[test]
fn invalid_settings_are_rejected() {
    struct Case {
        name: &'static str,
        builder: Builder,
        text: &'static str,
    }
    let cases = [
        Case {
            name: "no integration",
            builder: Client::builder().token(TOKEN).bot_id("bot"),
            text: "Builder::integration_id (or integration_alias, or no_integration) is missing",
        },
        Case {
            name: "no token",
            builder: Client::builder().bot_id("bot"),
            text: "Builder::token, Builder::integration_id (or integration_alias, or no_integration) are missing",
        },
        Case {
            name: "no bot",
            builder: Client::builder().token(TOKEN),
            text: "Builder::bot_id, Builder::integration_id",
        },
        Case {
            name: "empty token",
            builder: Client::builder().token("").bot_id("b").no_integration(),
            text: "Builder::token is missing; call it, or Builder::env",
        },
        Case {
            name: "blank token",
            builder: complete().token("  "),
            text: "the token cannot be sent",
        },
        Case {
            name: "empty alias",
            builder: complete().integration_alias(""),
            text: "the integration alias cannot be sent",
        },
        Case {
            name: "token",
            builder: complete().token("bp_pat_5ecret\n"),
            text: "the token cannot be sent",
        },
        Case {
            name: "token",
            builder: complete().token("bp_pat_5ecret\u{e9}"),
            text: "the token cannot be sent",
        },
        Case {
            name: "bot",
            builder: complete().bot_id("b\r\nx: y"),
            text: "the bot id cannot be sent",
        },
        Case {
            name: "integration",
            builder: complete().integration_id("\0"),
            text: "the integration id cannot be sent",
        },
        Case {
            name: "alias",
            builder: complete().integration_alias("é"),
            text: "the integration alias cannot be sent",
        },
        Case {
            name: "url",
            builder: complete().base_url("api.botpress.cloud"),
            text: "the base URL is not a URL",
        },
        Case { name: "url", builder: complete().base_url(""), text: "the base URL is not a URL" },
        Case {
            name: "http",
            builder: complete().base_url("http://api.botpress.cloud"),
            text: "would expose the token",
        },
        Case {
            name: "http",
            builder: complete().base_url("http://127.0.0.1.example.com"),
            text: "would expose the token",
        },
        Case {
            name: "http",
            builder: complete().base_url("http://localhost.example.com"),
            text: "would expose the token",
        },
        Case {
            name: "http",
            builder: complete().base_url("http://0.0.0.0:81"),
            text: "the base URL http://0.0.0.0:81 would expose the token: use https, or http to a loopback address, or Builder::danger_send_token_in_clear_text_to",
        },
        Case {
            name: "ftp",
            builder: complete().base_url("ftp://localhost"),
            text: "would expose the token",
        },
        Case {
            name: "user",
            builder: complete().base_url("https://u:bp_pat_5ecret@localhost"),
            text: "must not have a user, password",
        },
        Case {
            name: "query",
            builder: complete().base_url("https://localhost?a=1"),
            text: "must not have a user, password",
        },
        Case {
            name: "fragment",
            builder: complete().base_url("https://localhost#a"),
            text: "must not have a user, password",
        },
        Case {
            name: "header",
            builder: complete().header("x y", "1"),
            text: "the header \"x y\" cannot be sent",
        },
        Case {
            name: "header",
            builder: complete().header("x", "bp_pat_5ecret\n"),
            text: "the header \"x\" cannot be sent",
        },
        Case {
            name: "header",
            builder: complete().header("Authorization", "1"),
            text: "the client itself sets",
        },
    ];
    for Case { name, builder, text } in cases {
        let error = builder.build().expect_err(name);
        assert!(is_config(&error) && !error.maybe_stored(), "{name}: {error:?}");
        assert!(error.to_string().contains(text), "{name}: {error} lacks {text}");
        assert!(!format!("{error} {error:?}").contains("5ecret"), "{name}: {error:?}");
    }
}

#[test]
fn valid_settings_are_accepted() {
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
    let full = complete().connect_timeout(Duration::from_secs(1)).header("x-trace", "1");
    assert!(full.build().is_ok());
}

#[test]
fn clear_text_goes_only_to_the_host_that_the_caller_names() {
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

/// The environment belongs to a process, so each case runs this test again in its own process.
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
    struct Case {
        variables: &'static [(&'static str, &'static str)],
        shown: &'static [&'static str],
    }
    let cases = [
        Case {
            variables: &[],
            shown: &[
                "BP_TOKEN, BP_BOT_ID, BP_INTEGRATION_ID are missing from the environment; set them",
                "BP_TOKEN, BP_INTEGRATION_ID are missing",
            ],
        },
        Case {
            variables: &[TOKEN, INTEGRATION],
            shown: &["BP_BOT_ID is missing from the environment; set it", "bot_id: \"explicit\""],
        },
        Case { variables: &[("BP_TOKEN", ""), BOT, INTEGRATION], shown: &["BP_TOKEN is missing"] },
        Case { variables: &[TOKEN, BOT], shown: &["BP_INTEGRATION_ID is missing"] },
        Case {
            variables: &[TOKEN, BOT, ("BP_INTEGRATION_ID", "")],
            shown: &["BP_INTEGRATION_ID is missing"],
        },
        Case {
            variables: &[("BP_TOKEN", "bp_pat_5ecret\n"), BOT, INTEGRATION],
            shown: &["the token cannot be sent"],
        },
        Case {
            variables: &[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "http://x")],
            shown: &[
                "http://x would expose the token",
                "; BP_DANGER_SEND_TOKEN_IN_CLEAR_TEXT_TO=x allows it",
            ],
        },
        Case {
            variables: &[
                TOKEN,
                BOT,
                INTEGRATION,
                ("BP_API_URL", "http://sandbox:8080"),
                ("BP_DANGER_SEND_TOKEN_IN_CLEAR_TEXT_TO", "sandbox"),
            ],
            shown: &["\"http://sandbox:8080\""],
        },
        Case {
            variables: &[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "")],
            shown: &[
                "bot_id: \"from-env\"",
                "bot_id: \"explicit\"",
                "\"https://api.botpress.cloud\"",
            ],
        },
        Case {
            variables: &[TOKEN, BOT, INTEGRATION, ("BP_API_URL", "http://[::1]:1/")],
            shown: &["integration: Id(\"slack\")", "\"http://[::1]:1\""],
        },
    ];
    for Case { variables, shown: expected } in cases {
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
