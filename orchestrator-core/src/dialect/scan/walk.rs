//! The walk over a body from left to right, which notes where the members of its outermost object stand.
//!
//! It jumps over strings with `memchr`. What lies deeper is checked for depth and for brackets that match, no more: the provider
//! complains about the rest in its own words. It never recurses, so that depth costs memory of the scanner, not its stack.

use std::{borrow::Cow, ops::Range};

use memchr::memchr;

use super::string;
use crate::{
    call::{Member, Outline},
    error::{Error, Result},
};

/// The most members an object may have at its top level. Real requests have a few dozen; a body of nothing but tiny members
/// would otherwise cost many times its size in memory.
pub(super) const MAX_MEMBERS: usize = 4096;

/// Where the string ends whose inside begins here. Goes from quote to quote, not from backslash to backslash: text has far more
/// line breaks than quotes.
pub(in crate::dialect) fn closing_quote(inside: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let quote = at + memchr(b'"', &inside[at..])?;
        let backslashes = inside[at..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Walks the body from left to right.
pub(super) struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    max_depth: usize,
    /// What closes the brackets that are open inside a value.
    closers: Vec<u8>,
    words: &'a [&'a str],
    seen: u8,
}

impl<'a> Scanner<'a> {
    /// `words`: at most eight, which are noted where a string begins with them. The outermost object is at depth 1.
    pub(super) fn new(words: &'a [&'a str], body: &'a [u8], max_depth: usize) -> Self {
        Self { body, at: 0, max_depth, closers: Vec::new(), words, seen: 0 }
    }

    /// Where the members of the body's outermost object stand. What is no such object, or something behind it, is refused.
    pub(super) fn object(mut self) -> Result<Outline> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(Error::invalid(None, "the body must be a JSON object"));
        }
        self.at += 1;
        let inside = self.at;
        let mut members = Vec::with_capacity(16);
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            self.members(&mut members)?;
        }
        self.skip_space();
        if self.at < self.body.len() {
            return Err(self.wrong("something follows the object"));
        }
        Ok(Outline { length: self.body.len(), inside, members, words: self.seen })
    }

    /// From the first key to behind the closing brace.
    fn members(&mut self, members: &mut Vec<Member>) -> Result<()> {
        loop {
            if members.len() == MAX_MEMBERS {
                return Err(Error::invalid(None, format!("the body has more than {MAX_MEMBERS} fields")));
            }
            members.push(self.member()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err(self.wrong("`,` or `}` is expected")),
                None => return Err(self.wrong("it ends too early")),
            }
            self.skip_space();
        }
    }

    fn member(&mut self) -> Result<Member> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a field's name is expected"));
        }
        self.skip_string()?;
        let key = start + 1..self.at - 1;
        let escaped = self.unescaped(start..self.at)?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.wrong("`:` is expected"));
        }
        self.at += 1;
        self.skip_space();
        let value = self.at;
        match self.peek() {
            Some(b'"') => self.skip_string()?,
            Some(b'{' | b'[') => self.skip_nested()?,
            _ => self.skip_scalar()?,
        }
        Ok(Member { key, escaped, value: value..self.at })
    }

    /// The key whose quotes are the ends of `range`, if it is written with escapes.
    fn unescaped(&self, range: Range<usize>) -> Result<Option<Box<str>>> {
        let key = &self.body[range.start + 1..range.end - 1];
        // Nearly every key, and cheaper than to read it as a string.
        if key.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\') {
            return Ok(None);
        }
        match string(&self.body[range]) {
            Some(Cow::Borrowed(_)) => Ok(None),
            Some(Cow::Owned(key)) => Ok(Some(key.into_boxed_str())),
            None => Err(self.wrong("a field's name is not a valid string")),
        }
    }

    /// From an opening quote to behind the closing one.
    fn skip_string(&mut self) -> Result<()> {
        let inside = self.at + 1;
        self.note(inside);
        let Some(length) = closing_quote(&self.body[inside..]) else {
            self.at = self.body.len();
            return Err(self.wrong("a string does not end"));
        };
        self.at = inside + length + 1;
        Ok(())
    }

    fn note(&mut self, inside: usize) {
        for (place, word) in self.words.iter().enumerate() {
            if self.body[inside..].starts_with(word.as_bytes()) {
                self.seen |= 1 << place;
            }
        }
    }

    /// From an opening bracket to behind the one that closes it.
    fn skip_nested(&mut self) -> Result<()> {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' => self.closers.push(b'}'),
                b'[' => self.closers.push(b']'),
                b'}' | b']' if self.closers.pop() != Some(byte) => {
                    return Err(self.wrong("brackets do not match"));
                }
                _ => {}
            }
            self.at += 1;
            if self.closers.is_empty() {
                return Ok(());
            }
            if self.closers.len() >= self.max_depth {
                let message = format!("the body is nested deeper than {} levels", self.max_depth);
                return Err(Error::invalid(None, message));
            }
        }
        Err(self.wrong("it ends too early"))
    }

    /// A number, `true`, `false` or `null`.
    fn skip_scalar(&mut self) -> Result<()> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        let token = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        if !matches!(token, b"true" | b"false" | b"null") && !is_number(token) {
            return Err(self.wrong("a value is expected"));
        }
        self.at += token.len();
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn wrong(&self, what: &str) -> Error {
        Error::invalid(None, format!("the body is not valid JSON: {what} (byte {})", self.at))
    }
}

/// Whether `token` is a number as JSON writes it: `-1.5e+3`, not `01`, `.5` or `1.`.
fn is_number(token: &[u8]) -> bool {
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let mut rest = after_digits(unsigned);
    let whole = unsigned.len() - rest.len();
    if whole == 0 || (whole > 1 && unsigned[0] == b'0') {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = after_digits(fraction);
        if rest.len() == fraction.len() {
            return false;
        }
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let digits = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        rest = after_digits(digits);
        if rest.len() == digits.len() {
            return false;
        }
    }
    rest.is_empty()
}

fn after_digits(text: &[u8]) -> &[u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[digits..]
}
