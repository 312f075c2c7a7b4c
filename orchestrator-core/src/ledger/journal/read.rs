//! The journal's files, as they are read.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _},
    path::Path,
};

use super::Line;

/// The lines of a segment from a position on: at most as many as were asked for.
#[derive(Debug, Default)]
pub struct Stretch {
    /// The lines that could be read. A damaged line is left out and counted.
    pub lines: Vec<Line>,
    /// Of each line: the byte after it.
    pub ends: Vec<u64>,
    /// The byte after the last whole line.
    pub end: u64,
    /// Lines that are not records.
    pub damaged: usize,
    /// Nothing more stands in the segment for now.
    pub at_end: bool,
}

/// Reads whole lines of a segment. A line without its end (being written, or torn by a crash) is left for later.
pub fn read(path: &Path, from: u64, limit: usize) -> io::Result<Stretch> {
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(from))?;
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut stretch = Stretch { end: from, ..Stretch::default() };
    let mut text = Vec::new();
    while stretch.lines.len() + stretch.damaged < limit {
        text.clear();
        let length = reader.read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") {
            stretch.at_end = true;
            break;
        }
        stretch.end += length as u64;
        match serde_json::from_slice(&text) {
            Ok(line) => {
                stretch.lines.push(line);
                stretch.ends.push(stretch.end);
            }
            Err(_) => stretch.damaged += 1,
        }
    }
    Ok(stretch)
}
