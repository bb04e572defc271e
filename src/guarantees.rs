//! What is promised, what identifies a record and for how long, and what is not promised.
//!
//! # What is promised
//!
//! A test with thousands of random servers, clients and channels checks each of these promises. The test assumes
//! that the server finds a record by its tags, and that the server finishes a dropped request within a second.
//!
//! - A message that tags identify is stored once, even if it is sent again, twice at the same time, by two
//!   integrations of the bot, or after a call that was dropped. So are the user and the conversation of an integration.
//! - It is stored in the end if the channel sends it again as [`should_repeat`](crate::Error::should_repeat) says. If
//!   that is `false`, the message breaks the contract, or the API or a gateway rejected it for good.
//! - Results mean what the last table says. Of several calls for one new record, one reports that it created it;
//!   perhaps none, if one failed or its `created` is `None`.
//! - Deliveries to the same conversation that succeed are stored in the order in which they started.
//! - A call ends within its deadline. After [`close`](crate::Client::close), it ends once none of its attempts is in
//!   flight.
//! - A client and its clones stay within the rate limit, except for a few requests between two windows. The requests
//!   of dropped calls count.
//! - Once its server works, a client that is not closed works, too. Only a pause that a response asked for, or a
//!   used-up rate limit, can delay it, by two minutes at most.
//!
//! All this applies to the clients of one process that were derived from one another.
//!
//! # What identifies a record
//!
//! The tags by which the endpoint looks for it: those that `discriminate_by_tags` lists, or else all of them.
//! Each needs a value: the vendor does not say whether the endpoint skips an empty one.
//! [`is_identified`](crate::NewMessage::is_identified) checks that. Without tags every call creates a record.
//!
//! | record | is looked for | additional tags of a stored one |
//! | --- | --- | --- |
//! | message | in the whole bot, across conversations | prevent a match, unless tags are listed |
//! | user | within the integration | do not matter |
//! | conversation | within the integration and its channel | do not matter |
//!
//! Use what the channel guarantees to be unique there, such as the id of the message. Leave out what can change
//! from one webhook to the next, such as a name: a changed name would create a second user.
//!
//! # What a call changes in a record that it finds
//!
//! | record | is updated, from API version 1.80 on | is not updated, as far as the vendor says |
//! | --- | --- | --- |
//! | message | tags, payload | type, conversation, user, origin, schedule |
//! | user | tags, name, picture | further properties |
//! | conversation | tags | channel |
//!
//! Before 1.80 nothing is updated. A message is rejected (`AlreadyExists`) if another conversation already has one
//! with its tags. Tags that the request does not name stay; one with an empty value is removed.
//!
//! # How large, how often
//!
//! The API documents 128 KB for the payload of a message, 1 MB for a request, 100 requests a second, and 600 messages a
//! minute from the people of one bot. The API enforces these, so this crate does not check them: what is too large
//! comes back as `PayloadTooLarge` or `LimitExceeded`, and the rate limit is counted as [`Retry`](crate::Retry)
//! explains. The bounds of the contract itself, such as 500 characters for the value of a tag, are checked before
//! anything is sent.
//!
//! # For how long
//!
//! A record is found as long as it is stored with these tags. The vendor names no time limit.
//!
//! [`Client::deliver`](crate::Client::deliver) remembers the ids of users and conversations for an hour, or [another
//! time](crate::Builder::remember_ids), by bot, integration and identifying tags. If the record of the next delivery
//! differs, for example in a name, it is sent again. If somebody else changes a remembered user in the meantime, the
//! change stays.
//!
//! # What two calls at the same time do
//!
//! Calls of one [`Client`](crate::Client), its clones and the clients derived from it take turns if they are
//! for the same record (the same kind, bot and identifying tags), in the order in which they came. The second
//! finds what the first created. After a call that was dropped, or failed but may have stored its record, the next
//! one waits a second for the server to finish. If the server needs longer, it may process
//! both at the same time.
//!
//! Deliveries to the same conversation run one at a time, in the order in which their futures are first
//! polled. A conversation is what the caller passes: an id, or the channel and the identifying tags. The same
//! conversation given in both ways counts as two.
//! [`ordering_key`](crate::Delivery::ordering_key) is a number for it. When a delivery fails, the next one starts.
//!
//! Two processes, or two clients that were not derived from one another, know nothing of each other. The vendor
//! does not promise that two simultaneous first calls create one record. Where that
//! matters, deliver a conversation from one process at a time.
//!
//! # What the result of a call means
//!
//! | result | the record |
//! | --- | --- |
//! | `Ok`, `created` is `Some(true)` | is stored, by this call |
//! | `Ok`, `created` is `Some(false)` | is stored, and was before this call |
//! | `Ok`, `created` is `None` | is stored, perhaps by this call |
//! | `Err`, [`maybe_stored`](crate::Error::maybe_stored) is `false` | is not stored by this call |
//! | `Err`, `maybe_stored` is `true` | may be stored by this call |
//!
//! A call reports "not stored" only if no byte of the record was sent, or if the server reports that it did not
//! process it: a rejection by the API (4xx); 408, 425 or 429 from anyone; HTTP/2's REFUSED_STREAM; or a GOAWAY for
//! a stream above its last one. For a delivery, all this is about the message. Its user and its conversation may be
//! stored without it, and the next try finds them.
//!
//! # What is not promised
//!
//! - That the API keeps what it reported as stored.
//! - Whether a record that may be stored is stored: only sending it again shows that, if tags identify it.
//! - Order between conversations, and between deliveries that start at the same time on several threads.
//! - Anything about a record that somebody else changes in the meantime: a late retry undoes the change.
//! - That several processes together stay within the rate limit: what others use is known only from responses.
