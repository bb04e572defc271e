//! The lines of the input.

use std::io;
use std::path::Path;
use std::pin::Pin;

use botpress_messages::{Delivery, Error, Rule};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader, stdin};

use crate::output::Failure;

/// Far longer than any body that the endpoint accepts. It bounds the memory of a line.
const LONGEST_LINE: usize = 8 << 20;
/// The name of a user in a line. It identifies nothing, so it can be shortened.
const NAME: &str = "/user/name";
const UTF_16: &str = "the input is UTF-16, and must be UTF-8: iconv -f UTF-16 -t UTF-8 OLD >NEW";

/// A line that is not blank.
pub struct Line {
    /// Its number in the original file.
    pub number: usize,
    /// Its bytes in the input, including the blank lines before it.
    pub size: u64,
    /// Its trimmed text, or why it cannot be sent.
    pub text: Result<Vec<u8>, Failure>,
    /// The key of the conversation whose order it keeps, if it can be parsed.
    pub conversation: Option<u64>,
}

/// Parses the delivery of a line. A name that is too long is shortened on request.
pub fn parse(text: &[u8], shorten_names: bool) -> Result<Delivery, Error> {
    // Some programs put a byte order mark before the first line.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let error = match Delivery::from_json(text) {
        Ok(delivery) => return Ok(delivery),
        Err(error) => error,
    };
    let Some(longest) = longest_name(&error).filter(|_| shorten_names) else { return Err(error) };
    let Ok(mut line) = serde_json::from_slice::<Value>(text) else { return Err(error) };
    if let Some(Value::String(name)) = line.pointer_mut(NAME) {
        *name = name.chars().take(longest).collect();
    }
    Delivery::from_json(line.to_string())
}

/// The number of characters that a name is allowed to have, if a name is too long.
pub fn longest_name(error: &Error) -> Option<usize> {
    error.violations().iter().find_map(|violation| match violation.rule {
        Rule::MaxLength(longest) if violation.path == NAME => Some(longest),
        _ => None,
    })
}

pub struct Input {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    /// The size, if the input is a file. Other inputs, such as a pipe, may never end.
    pub size: Option<u64>,
    /// Whether names that are too long are shortened.
    shorten_names: bool,
}

impl Input {
    pub async fn open(path: &Path, shorten_names: bool) -> Result<Self, String> {
        if path == Path::new("-") {
            let reader = Box::pin(BufReader::new(stdin()));
            return Ok(Self { reader, size: None, shorten_names });
        }
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).await.map_err(at)?;
        let metadata = file.metadata().await.map_err(at)?;
        if metadata.is_dir() {
            let path = path.display();
            return Err(format!(
                "{path} is a directory: name a file, or send all of its files with \
                 `cat {path}/*.ndjson | botpress-import -`"
            ));
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::pin(BufReader::new(file)), size, shorten_names })
    }

    /// Its lines, up to the first one that cannot be read.
    pub fn lines(self) -> impl Stream<Item = Line> {
        let lines = stream::unfold((Some(self), 0), async |(input, mut number)| {
            let mut input: Self = input?;
            let shorten_names = input.shorten_names;
            let mut size = 0;
            loop {
                number += 1;
                let (text, rest) = match input.next_line(&mut size).await {
                    Ok(None) => return None,
                    Ok(Some(line)) if number == 1 && is_utf_16(&line) => {
                        (Err(Failure::invalid(UTF_16.into(), None)), None)
                    }
                    Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                    Ok(Some(line)) if line.len() > LONGEST_LINE => {
                        let failure = format!("the line is longer than {LONGEST_LINE} bytes");
                        (Err(Failure::invalid(failure, None)), Some(input))
                    }
                    Ok(Some(line)) => (Ok(line.trim_ascii().to_vec()), Some(input)),
                    Err(error) => {
                        let failure = format!("the input cannot be read any further: {error}");
                        (Err(Failure::invalid(failure, None)), None)
                    }
                };
                let kept = text.as_ref().ok().and_then(|text| kept_number(text));
                let (original, start) = kept.unwrap_or((number, 0));
                let text = text.map(|text| text[start..].to_vec());
                // The text is kept, not the delivery: that would take several times the memory.
                let delivery = text.as_ref().ok().and_then(|text| parse(text, shorten_names).ok());
                let conversation = delivery.and_then(|delivery| delivery.ordering_key());
                let line = Line { number: original, size, text, conversation };
                return Some((line, (rest, number)));
            }
        });
        lines.fuse()
    }

    /// The next line. A line that is too long is cut just above the limit.
    async fn next_line(&mut self, size: &mut u64) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let limit = LONGEST_LINE as u64 + 1;
        let reader = &mut self.reader;
        if reader.as_mut().take(limit).read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        *size += line.len() as u64;
        let mut rest = Vec::new();
        while line.len() > LONGEST_LINE && !line.ends_with(b"\n") && !rest.ends_with(b"\n") {
            rest.clear();
            if reader.as_mut().take(limit).read_until(b'\n', &mut rest).await? == 0 {
                break;
            }
            *size += rest.len() as u64;
        }
        Ok(Some(line))
    }
}

/// A line of the file that `--failed` writes.
pub fn kept_line(number: usize, text: &[u8]) -> Vec<u8> {
    [format!("{number}\t").as_bytes(), text, b"\n"].concat()
}

/// The number of a kept line, and where its text begins. No message begins with a number.
fn kept_number(line: &[u8]) -> Option<(usize, usize)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let number = str::from_utf8(&line[..tab]).ok()?.parse().ok()?;
    Some((number, tab + 1))
}

/// Whether a text begins like UTF-16: with its byte order mark, or with an ASCII character of two bytes.
fn is_utf_16(text: &[u8]) -> bool {
    matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..])
}
