//! A log line for machines: one flat object, `{"timestamp","level","target","message", …}`, then the event's fields and those of the
//! spans around it, so that a line tells which task and request it belongs to without a search for others. Of equal names the
//! innermost counts.

use std::{
    fmt::{self, Write as _},
    io,
};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::{LookupSpan, Scope},
};

use crate::clock::Clock;

/// What every line begins with; a field of such a name gets `field_` before it.
const FIXED: [&str; 4] = ["timestamp", "level", "target", "message"];
/// The most bytes of one text. A line is for reading, and what is longer is somebody's data.
const MOST_BYTES: usize = 4096;

/// Formats events. Goes with [`SpanFields`], in whose form it finds the fields of spans.
pub(super) struct Lines(Clock);

impl Lines {
    pub(super) fn new(clock: Clock) -> Self {
        Self(clock)
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        let mut line = Object::with_capacity(256);
        line.field("timestamp", &Value::Text(&self.0.now().to_string()));
        line.field("level", &Value::Text(about.level().as_str()));
        line.field("target", &Value::Text(about.target()));
        // Lines begin alike, whatever order the fields stand in.
        event.record(&mut Fields { line: &mut line, message: true });
        event.record(&mut Fields { line: &mut line, message: false });
        let mut around = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(text) = span.extensions().get::<FormattedFields<N>>() {
                around.extend(
                    serde_json::from_str::<Map<String, Json>>(&format!("{{{text}}}")).unwrap_or_default(),
                );
            }
        }
        for (name, value) in &around {
            if about.fields().field(name).is_none() {
                line.field(name, &Value::Json(value));
            }
        }
        writer.write_str(&line.line())
    }
}

/// Keeps the fields of a span as the inside of an object, for the lines within it: every request has a span, and few have lines.
pub(super) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut inside = Object(String::with_capacity(128));
        fields.record(&mut Fields { line: &mut inside, message: false });
        writer.write_str(&inside.0)
    }

    fn add_fields(&self, known: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut inside = Object(std::mem::take(&mut known.fields));
        fields.record(&mut Fields { line: &mut inside, message: false });
        known.fields = inside.0;
        Ok(())
    }
}

/// An object that is being written.
pub(super) struct Object(String);

/// What a field can hold.
pub(super) enum Value<'a> {
    Text(&'a str),
    Shown(&'a dyn fmt::Debug),
    Whole(u64),
    Signed(i64),
    Real(f64),
    Is(bool),
    Json(&'a Json),
}

impl Object {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Self(text)
    }

    pub(super) fn field(&mut self, name: &str, value: &Value<'_>) {
        if !matches!(self.0.as_bytes(), [] | [b'{']) {
            self.0.push(',');
        }
        self.text(name);
        self.0.push(':');
        match value {
            Value::Text(text) => self.text(text),
            Value::Shown(shown) => self.quoted(format_args!("{shown:?}")),
            Value::Whole(number) => self.plain(number),
            Value::Signed(number) => self.plain(number),
            Value::Real(number) => self.plain(number),
            Value::Is(switch) => self.plain(switch),
            Value::Json(Json::String(text)) => self.text(text),
            Value::Json(value) => self.plain(value),
        }
    }

    /// What JSON writes without quotes; a number that it has not is `null`.
    fn plain(&mut self, value: &impl Serialize) {
        // Nothing that is written into a String can fail.
        let _ = serde_json::to_writer(Plain(&mut self.0), value);
    }

    fn text(&mut self, text: &str) {
        self.write_quoted(|quoted| quoted.write_str(text));
    }

    fn quoted(&mut self, text: fmt::Arguments<'_>) {
        self.write_quoted(|quoted| quoted.write_fmt(text));
    }

    fn write_quoted(&mut self, write: impl FnOnce(&mut Quoted<'_>) -> fmt::Result) {
        self.0.push('"');
        if write(&mut Quoted { text: &mut self.0, room: MOST_BYTES }).is_err() {
            self.0.push('…');
        }
        self.0.push('"');
    }

    /// The whole line.
    pub(super) fn line(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

/// Takes what a serializer writes.
struct Plain<'a>(&'a mut String);

impl io::Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push_str(str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes text inside a JSON string, and fails at its bound.
struct Quoted<'a> {
    text: &'a mut String,
    room: usize,
}

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let fits = &part[..part.floor_char_boundary(self.room)];
        self.room -= fits.len();
        let mut rest = fits;
        // Mostly there is nothing to escape, and all of it is copied at once.
        while let Some(at) = rest.bytes().position(|byte| MAY_NEED_ESCAPE[usize::from(byte)]) {
            self.text.push_str(&rest[..at]);
            let mut chars = rest[at..].chars();
            chars.next().map_or(Ok(()), |c| escape(self.text, c))?;
            rest = chars.as_str();
        }
        self.text.push_str(rest);
        if fits.len() == part.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Whether a character that begins with this byte may not stand in a JSON string, or not in one line. A table: each byte of each line is
/// looked at.
const MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte, 0..0x20 | 0x22 | 0x5c | 0x7f | 0xe2);
        byte += 1;
    }
    table
};

fn escape(text: &mut String, c: char) -> fmt::Result {
    match c {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        // Control characters, and what some readers take for the end of a line.
        c if c < ' ' || matches!(c, '\u{7f}' | '\u{2028}' | '\u{2029}') => {
            return write!(text, "\\u{:04x}", u32::from(c));
        }
        c => text.push(c),
    }
    Ok(())
}

/// Writes an event's message, or everything else of it.
struct Fields<'a> {
    line: &'a mut Object,
    message: bool,
}

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: &Value<'_>) {
        let name = field.name();
        if (name == "message") != self.message {
            return;
        }
        if !self.message && FIXED.contains(&name) {
            self.line.field(&format!("field_{name}"), value);
        } else {
            self.line.field(name, value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, &Value::Shown(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, &Value::Text(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, &Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, &Value::Whole(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, &Value::Real(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, &Value::Is(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::clock::UnixMicros;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .fmt_fields(SpanFields)
            .event_format(Lines::new(Clock::manual(UnixMicros(1_795_230_128_000_001))));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_spans_fields_behind_its_own() {
        let text = logged(|| {
            let _outer = tracing::error_span!("task", task.name = "writer", rows = 1).entered();
            tracing::info!(target: "ledger", rows = 2_u64, full = true, level = -1, path = ?"a\nb", "rows written: {}", 2);
        });
        insta::assert_snapshot!(text, @r#"{"timestamp":"2026-11-21T03:02:08.000001Z","level":"INFO","target":"ledger","message":"rows written: 2","rows":2,"full":true,"field_level":-1,"path":"\"a\\nb\"","task.name":"writer"}"#);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = logged(|| tracing::info!(long = "é".repeat(5000), "x"));
        let line: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(line["long"].as_str().unwrap(), format!("{}…", "é".repeat(MOST_BYTES / 2)));
    }

    proptest! {
        #[test]
        fn any_text_makes_one_line_that_says_it(text in "\\PC{0,40}|[\\x00-\\x7f\u{2028}]{0,40}") {
            let line = logged(|| tracing::info!(text, "x"));
            prop_assert_eq!(line.matches('\n').count(), 1);
            let parsed: Json = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(parsed["text"].as_str().unwrap(), text);
        }
    }
}
