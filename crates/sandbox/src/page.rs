//! The page at `/`: what a program sent, as people see it.

use std::hash::{BuildHasher, RandomState};

use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL,
};
use http::{HeaderName, Uri};

/// `{nonce}` stands for the nonce of the policy, `{style}` and `{script}` for the constants below.
const MARKUP: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One inline script, so that nothing else has to be loaded. Its parts run in this order.
const SCRIPT: &str = concat!(
    "const $ = (id) => document.getElementById(id)\n\n",
    include_str!("page/data.js"),
    include_str!("page/content.js"),
    include_str!("page/rows.js"),
    include_str!("page/views.js"),
    include_str!("page/control.js"),
    include_str!("page/main.js"),
);

/// Message contents are untrusted: the policy allows no script in them. Nothing is loaded from other servers,
/// because they would learn who views the page. `/?media` shows remote images, sounds and videos.
pub(super) async fn page(uri: Uri) -> Response {
    // The random keys of `RandomState` come from the operating system.
    let [one, two] = [(); 2].map(|()| RandomState::new().hash_one(()));
    let nonce = format!("{one:016x}{two:016x}");
    let media = if uri.query() == Some("media") { "data: http: https:" } else { "data:" };
    let policy = [
        "default-src 'none'",
        &format!("script-src 'nonce-{nonce}'"),
        &format!("style-src 'nonce-{nonce}'"),
        "connect-src 'self'",
        &format!("img-src {media}"),
        &format!("media-src {media}"),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ];
    let headers: [(HeaderName, String); 5] = [
        (CONTENT_SECURITY_POLICY, policy.join("; ")),
        (REFERRER_POLICY, "no-referrer".into()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
        (CACHE_CONTROL, "no-store".into()),
        // The browser looks up the host of a link only when someone follows it.
        (X_DNS_PREFETCH_CONTROL, "off".into()),
    ];
    let page = MARKUP.replace("{nonce}", &nonce);
    let page = page.replace("{style}", STYLE).replace("{script}", SCRIPT);
    (headers, Html(page)).into_response()
}
