//! The lines of the input.

use std::io;
use std::path::Path;
use std::pin::Pin;

use botpress_messages::{Delivery, Error};
use futures::{Stream, StreamExt, stream};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader, stdin};

use crate::output::Failure;

/// A line that is not blank.
pub struct Line {
    pub number: usize,
    /// How much of the input it is, with the blank lines before it.
    pub size: u64,
    /// What it says, without the white space around it; or why it cannot be sent.
    pub text: Result<Vec<u8>, Failure>,
    /// The conversation in which it keeps its place, if one can be read.
    pub conversation: Option<u64>,
}

/// The delivery that a line describes.
pub fn parse(text: &[u8]) -> Result<Delivery, Error> {
    // Some programs put a byte order mark before the first line.
    Delivery::from_json(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
}

pub struct Input {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    /// The size of a file. What is none, such as a pipe, may never end.
    pub size: Option<u64>,
}

impl Input {
    pub async fn open(path: &Path) -> Result<Self, String> {
        if path == Path::new("-") {
            return Ok(Self { reader: Box::pin(BufReader::new(stdin())), size: None });
        }
        let at = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).await.map_err(at)?;
        let metadata = file.metadata().await.map_err(at)?;
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::pin(BufReader::new(file)), size })
    }

    /// Its lines; after one that cannot be read there are no more.
    pub fn lines(self) -> impl Stream<Item = Line> {
        let lines = stream::unfold((Some(self), 0), async |(input, mut number)| {
            let mut input = input?;
            let mut size = 0;
            loop {
                number += 1;
                let (text, rest) = match input.next_line(&mut size).await {
                    Ok(None) => return None,
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
                // The text is kept, not the delivery: that would take several times the memory.
                let delivery = text.as_ref().ok().and_then(|text| parse(text).ok());
                let conversation = delivery.and_then(|delivery| delivery.ordering_key());
                return Some((Line { number, size, text, conversation }, (rest, number)));
            }
        });
        lines.fuse()
    }

    /// The next line; of one that is too long, just enough to see that.
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

/// No body that the endpoint takes comes near this, so memory stays bounded by lines of this length.
const LONGEST_LINE: usize = 8 << 20;
