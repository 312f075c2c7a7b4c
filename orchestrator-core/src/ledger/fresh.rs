//! The journal's latest lines, in memory as well: as long as the database keeps up, nothing that this process wrote is read back
//! and parsed again. The files stay the queue. What is not kept here any more, or was taken and could not be stored, stands there.

use std::collections::VecDeque;

use super::journal::{Line, Stretch};
use crate::store::JournalOffset;

/// The most lines that are kept; the oldest go first.
const MOST: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    lines: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    at: JournalOffset,
    /// The byte after it.
    end: u64,
    line: Line,
}

impl Fresh {
    /// Keeps a line that was written at `at` and ends before `end`.
    pub(super) fn push(&mut self, at: JournalOffset, end: u64, line: Line) {
        if self.lines.len() == MOST {
            self.lines.pop_front();
        }
        self.lines.push_back(Kept { at, end, line });
    }

    /// Takes the lines from `from` to the end of its segment, at most `limit`. `None`: the line there is not kept.
    pub(super) fn take(&mut self, from: JournalOffset, limit: usize) -> Option<Stretch> {
        while self.lines.pop_front_if(|kept| kept.at < from).is_some() {}
        self.lines.front().filter(|kept| kept.at == from)?;
        let mut stretch = Stretch { end: from.position, ..Stretch::default() };
        while stretch.lines.len() < limit
            && let Some(kept) = self.lines.pop_front_if(|kept| kept.at.segment == from.segment)
        {
            stretch.lines.push(kept.line);
            stretch.ends.push(kept.end);
            stretch.end = kept.end;
        }
        Some(stretch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::RequestRecord;

    fn at(segment: u64, position: u64) -> JournalOffset {
        JournalOffset { segment, position }
    }

    /// Lines of ten bytes: `count` in segment 1, then one in segment 2. Each is named by its number.
    fn kept(count: u64) -> Fresh {
        let mut fresh = Fresh::default();
        let line = |number: u64| {
            Line::Close(Arc::new(RequestRecord { id: number.to_string(), ..RequestRecord::default() }))
        };
        for number in 0..count {
            fresh.push(at(1, number * 10), number * 10 + 10, line(number));
        }
        fresh.push(at(2, 0), 10, line(count));
        fresh
    }

    fn taken(fresh: &mut Fresh, from: JournalOffset, limit: usize) -> Option<(Vec<String>, u64)> {
        let stretch = fresh.take(from, limit)?;
        let ids = stretch.lines.into_iter().map(|line| match line {
            Line::Open(record) | Line::Close(record) => record.id.clone(),
        });
        Some((ids.collect(), stretch.end))
    }

    #[test]
    fn lines_come_in_order_from_where_the_reader_stands_and_never_over_a_segments_end() {
        let mut fresh = kept(3);
        assert_eq!(taken(&mut fresh, at(1, 10), 1), Some((vec!["1".to_owned()], 20)));
        assert_eq!(taken(&mut fresh, at(1, 20), 9), Some((vec!["2".to_owned()], 30)));
        assert_eq!(taken(&mut fresh, at(1, 30), 9), None, "the files know which segment follows");
        assert_eq!(taken(&mut fresh, at(2, 0), 9), Some((vec!["3".to_owned()], 10)));
    }

    #[test]
    fn what_was_taken_or_is_too_old_is_left_to_the_files() {
        let mut fresh = kept(3);
        taken(&mut fresh, at(1, 0), 2).unwrap();
        assert_eq!(taken(&mut fresh, at(1, 0), 2), None);
        assert_eq!(taken(&mut kept(MOST as u64 + 5), at(1, 0), 2), None);
    }
}
