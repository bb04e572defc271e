//! The lines that were read but not sent yet. Each waits for the one before it in its conversation.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use crate::input::Line;

#[derive(Default)]
pub struct Queue {
    /// The lines that can be sent now.
    ready: VecDeque<Line>,
    /// The lines that wait for an earlier line of their conversation, which is ready or in flight. A conversation
    /// without such a line has no entry.
    behind: HashMap<u64, VecDeque<Line>>,
    /// The approximate memory of all queued lines.
    size: usize,
}

impl Queue {
    /// No line is read while the queued lines take more memory than this. A conversation with more in a row keeps
    /// the others waiting.
    const ROOM: usize = 16 << 20;

    pub fn has_room(&self) -> bool {
        self.size < Self::ROOM
    }

    /// Whether a line can be sent now.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn push(&mut self, line: Line) {
        self.size += weight(&line);
        if let Some(conversation) = line.conversation {
            match self.behind.entry(conversation) {
                Entry::Occupied(mut behind) => return behind.get_mut().push_back(line),
                Entry::Vacant(first) => drop(first.insert(VecDeque::new())),
            }
        }
        self.ready.push_back(line);
    }

    /// Takes a line to send now. [`finished`](Self::finished) releases the next one of its conversation.
    pub fn pop(&mut self) -> Option<Line> {
        let line = self.ready.pop_front()?;
        self.size -= weight(&line);
        Some(line)
    }

    pub fn finished(&mut self, conversation: Option<u64>) {
        let Some(conversation) = conversation else { return };
        match self.behind.get_mut(&conversation).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => drop(self.behind.remove(&conversation)),
        }
    }

    /// Takes all remaining lines, in the order of the input.
    pub fn drain(&mut self) -> Vec<Line> {
        let behind = self.behind.drain().flat_map(|(_, behind)| behind);
        let mut lines: Vec<_> = self.ready.drain(..).chain(behind).collect();
        lines.sort_by_key(|line| line.number);
        lines
    }
}

fn weight(line: &Line) -> usize {
    const OVERHEAD: usize = 256;
    line.text.as_ref().map_or(0, Vec::len) + OVERHEAD
}
