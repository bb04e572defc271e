//! The lines that were read and wait, each for the one before it in its conversation.

use std::collections::{HashMap, VecDeque};

use crate::input::Line;

pub struct Queue {
    ordered: bool,
    /// The lines that may be sent now.
    ready: VecDeque<Line>,
    /// The lines behind the one of their conversation that is ready or under way. A conversation
    /// that has neither has no entry.
    behind: HashMap<String, VecDeque<Line>>,
    /// The memory that all of them take, about.
    size: usize,
}

impl Queue {
    /// No line is read while those that wait take more than this. A conversation with more in a row
    /// keeps the others waiting.
    const ROOM: usize = 16 << 20;

    pub fn new(ordered: bool) -> Self {
        Self { ordered, ready: VecDeque::new(), behind: HashMap::new(), size: 0 }
    }

    pub fn has_room(&self) -> bool {
        self.size < Self::ROOM
    }

    /// Whether a line may be sent now.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn push(&mut self, line: Line) {
        self.size += weight(&line);
        let conversation = line.conversation.as_ref().filter(|_| self.ordered);
        match conversation.map(|id| (id, self.behind.get_mut(id))) {
            Some((_, Some(behind))) => behind.push_back(line),
            Some((id, None)) => {
                self.behind.insert(id.clone(), VecDeque::new());
                self.ready.push_back(line);
            }
            None => self.ready.push_back(line),
        }
    }

    /// A line to be sent now. [`finished`](Self::finished) lets the next of its conversation follow.
    pub fn pop(&mut self) -> Option<Line> {
        let line = self.ready.pop_front()?;
        self.size -= weight(&line);
        Some(line)
    }

    pub fn finished(&mut self, conversation: Option<&str>) {
        let Some(id) = conversation.filter(|_| self.ordered) else { return };
        match self.behind.get_mut(id).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => drop(self.behind.remove(id)),
        }
    }

    /// All that still wait, in the order of the input.
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
