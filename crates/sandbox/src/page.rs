//! The page at `/`: what a program sent, as people see it.

use std::hash::{BuildHasher, RandomState};

use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_DNS_PREFETCH_CONTROL,
};
use http::{HeaderName, Uri};

/// `{nonce}` stands for what the policy allows, `{style}` and `{script}` for the other two files.
const MARKUP: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One script, so that it runs at once under the policy; its parts come in this order.
const SCRIPT: &str = concat!(
    "const $ = (id) => document.getElementById(id)\n\n",
    include_str!("page/data.js"),
    include_str!("page/content.js"),
    include_str!("page/rows.js"),
    include_str!("page/views.js"),
    include_str!("page/control.js"),
    include_str!("page/main.js"),
);

/// The contents of messages come from outside: they can be neither markup nor script. Nothing is loaded from
/// elsewhere, because its server would learn who views the page. `/?media` shows remote images, sounds and videos.
pub(super) async fn page(uri: Uri) -> Response {
    // Each has a random key from the operating system.
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
        // The names in links are not looked up before a link is followed.
        (X_DNS_PREFETCH_CONTROL, "off".into()),
    ];
    let page = MARKUP.replace("{nonce}", &nonce);
    let page = page.replace("{style}", STYLE).replace("{script}", SCRIPT);
    (headers, Html(page)).into_response()
}
