//! Pointers, paths and URLs in normal form.

/// The pointer of a reference within the document, which may be percent-encoded.
pub fn pointer_of(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let mut bytes = Vec::new();
    let mut rest = fragment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match (byte, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path without the names of its parameters.
pub fn template(path: &str) -> String {
    let mut kept = String::new();
    for (i, part) in path.split('{').enumerate() {
        let rest = part.split_once('}').filter(|_| i > 0);
        kept += if i > 0 { "{}" } else { part };
        kept += rest.map_or("", |(_, rest)| rest);
    }
    kept
}

/// The names of a path's parameters.
pub fn names_in(path: &str) -> Vec<&str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

/// A URL without insignificant parts: the case of its host, the port that its scheme implies,
/// and slashes at its end.
pub fn plain_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (scheme, host) = (scheme.to_lowercase(), host.to_lowercase());
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    format!("{scheme}://{}{path}", host.strip_suffix(port).unwrap_or(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_normal_form() {
        let cases = [
            ("https://API.example:443/V1/", "https://api.example/V1"),
            ("http://a.example:80", "http://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("/v1/", "/v1"),
        ];
        for (url, normal) in cases {
            assert_eq!(plain_url(url), normal);
        }
    }
}
