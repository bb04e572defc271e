//! A call ends in a value or an error, whatever the response.

use botpress_messages::User;
use chrono::{DateTime, Utc};
use conformance::*;
use proptest::prelude::*;
use serde_json::json;
use test_support::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Any response is a value or an error.
    #[test]
    fn any_response_is_a_value_or_an_error(
        status in 200..600u16,
        headers in prop::collection::vec(("[a-z-]{1,12}|retry-after|ratelimit-reset|content-type", "[ -~]{0,30}|[0-9.e-]{1,25}"), 0..4),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            any_json().prop_map(|json| json.to_string().into_bytes()),
            (object(), object()).prop_map(|(message, meta)| serde_json::json!({ "message": message, "meta": meta }).to_string().into_bytes()),
        ],
        cut in any::<prop::sample::Index>(),
    ) {
        let headers: String = headers
            .into_iter()
            .filter(|(name, _)| !["connection", "upgrade", "trailer", "te"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let mut response = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
        response.extend(body);
        if status % 3 == 0 {
            response.truncate(cut.index(response.len()));
        }
        let result = block_on(async {
            let (url, _) = script(vec![response]).await;
            once(&url).get_or_create(&hello()).await
        });
        if let Err(error) = result {
            let text = format!("{error} {error:?}");
            prop_assert!(!is_config(&error) && !is_invalid(&error) && !text.is_empty());
        }
    }

    /// The API's form of a date has its own parser, with the same result.
    #[test]
    fn dates_are_what_chrono_reads(
        text in prop_oneof![
            "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9][.][0-9]{3}Z",
            "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|z|[+-]0[0-9]:00)",
            "[0-9:é.TZ-]{24}",
        ],
    ) {
        let user = json!({ "id": "1", "createdAt": text, "updatedAt": text, "tags": {} });
        let read = serde_json::from_value::<User>(user).ok().map(|user| (user.created_at, user.updated_at));
        prop_assert_eq!(read, text.parse::<DateTime<Utc>>().ok().map(|date| (date, date)));
    }
}
