//! Where a body is cut into the pieces that are written one by one. Deterministic: the same cut of the same bytes is the
//! same pieces, in every run.

use std::collections::BTreeSet;

use bytes::Bytes;

/// A way to cut bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all.
    Whole,
    /// One byte at a time.
    EveryByte,
    /// Pieces of these sizes, repeated until the bytes are used up. Zero sizes are passed over.
    Sizes(Vec<usize>),
    /// Before the bytes at these offsets.
    At(Vec<usize>),
    /// Scattered by a seed: some borders inside a UTF-8 sequence, some inside a line's end or a blank line, one run of
    /// single bytes.
    Seeded(u64),
}

impl Cut {
    /// The pieces; joined, they are `bytes` again. None is empty.
    pub fn pieces(&self, bytes: &Bytes) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for end in self.borders(bytes).into_iter().chain([bytes.len()]) {
            if end > start {
                pieces.push(bytes.slice(start..end));
                start = end;
            }
        }
        pieces
    }

    /// Offsets strictly inside `bytes`, ascending.
    fn borders(&self, bytes: &Bytes) -> BTreeSet<usize> {
        let inside = 1..bytes.len();
        match self {
            Self::Whole => BTreeSet::new(),
            Self::EveryByte => inside.collect(),
            Self::At(offsets) => offsets.iter().copied().filter(|at| inside.contains(at)).collect(),
            Self::Sizes(sizes) => {
                assert!(sizes.iter().any(|size| *size > 0), "at least one size is above zero");
                let ends = sizes.iter().cycle().scan(0, |end, size| {
                    *end += size;
                    Some(*end)
                });
                ends.take_while(|end| *end < bytes.len()).filter(|end| *end > 0).collect()
            }
            Self::Seeded(seed) => seeded(bytes, *seed),
        }
    }
}

fn seeded(bytes: &Bytes, seed: u64) -> BTreeSet<usize> {
    let mut borders = BTreeSet::new();
    let length = bytes.len();
    if length < 2 {
        return borders;
    }
    let mut dice = Dice(seed);
    for _ in 0..(length / 40).clamp(3, 120) {
        borders.insert(1 + dice.below(length - 1));
    }

    let inside_code_point = (1..length).filter(|at| bytes[*at] & 0xC0 == 0x80);
    let inside_line_end = (1..length).filter(|at| matches!(&bytes[at - 1..=*at], b"\r\n" | b"\n\n"));
    for nasty in [inside_code_point.collect::<Vec<_>>(), inside_line_end.collect()] {
        for _ in 0..nasty.len().min(8) {
            borders.insert(nasty[dice.below(nasty.len())]);
        }
    }

    let run = dice.below(length);
    borders.extend((run..run + 4).filter(|at| (1..length).contains(at)));
    borders
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for scattering cuts, and the same everywhere.
struct Dice(u64);

impl Dice {
    /// A number in `0..limit`; `limit` is not zero.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = "data: {\"text\":\"grüße 👋 — ok\"}\r\n\r\ndata: {\"text\":\"次\"}\n\n".as_bytes();

    #[test]
    fn every_cut_gives_the_same_bytes_back_and_no_empty_piece() {
        let bytes = Bytes::from_static(STREAM);
        let cuts = [
            Cut::Whole,
            Cut::EveryByte,
            Cut::Sizes(vec![0, 7, 1]),
            Cut::At(vec![0, 3, 3, 9, 10_000]),
            Cut::Seeded(1),
            Cut::Seeded(2),
        ];
        for cut in cuts {
            for bytes in [bytes.clone(), Bytes::new(), Bytes::from_static(b"x")] {
                let pieces = cut.pieces(&bytes);
                assert_eq!(pieces.concat(), bytes, "{cut:?}");
                assert!(pieces.iter().all(|piece| !piece.is_empty()), "{cut:?}");
            }
        }
    }

    #[test]
    fn a_seed_cuts_inside_code_points_and_line_ends_and_always_alike() {
        let bytes = Bytes::from_static(STREAM);
        let pieces = Cut::Seeded(7).pieces(&bytes);
        assert_eq!(pieces, Cut::Seeded(7).pieces(&bytes));
        assert_ne!(pieces, Cut::Seeded(8).pieces(&bytes));
        assert!(pieces.iter().any(|piece| std::str::from_utf8(piece).is_err()));
        let inside_line_end = pieces
            .windows(2)
            .any(|pair| matches!((pair[0].last(), pair[1].first()), (Some(b'\r' | b'\n'), Some(b'\n'))));
        assert!(inside_line_end);
    }
}
