//! The examples of `docs/API.md`, put where they belong. What is marked there as sent and answered is so: a test sends it.

use serde_json::{Map, Value, json};

const DOCUMENT: &str = include_str!("../../../docs/API.md");
/// Stands for the ids that earlier answers gave: `$PROVIDER_ID`.
const SOME_ID: &str = "01a1fc5f-29d4-7ba2-973d-c861ba8f49a4";

/// A call of the document, and what comes back.
pub(super) struct Example {
    pub(super) method: String,
    /// Without its query.
    pub(super) path: String,
    pub(super) sent: Option<Value>,
    pub(super) status: String,
    pub(super) answer: Value,
}

/// Every example, in the document's order.
pub(super) fn all() -> Vec<Example> {
    let mut blocks = DOCUMENT.split("```json ").skip(1).filter_map(|block| {
        let (head, text) = block.split_once('\n')?;
        Some((head, text.split_once("```")?.0.trim()))
    });
    let mut examples = Vec::new();
    while let (Some((head, sent)), Some((answered, answer))) = (blocks.next(), blocks.next()) {
        examples.extend(example(head, sent, answered, answer));
    }
    examples
}

fn example(head: &str, sent: &str, answered: &str, answer: &str) -> Option<Example> {
    let mut words = head.strip_prefix("send=")?.split(' ');
    let (method, path) = (words.next()?.to_ascii_lowercase(), words.next()?);
    let path = path.split('?').next().unwrap_or(path);
    Some(Example {
        method,
        path: without_variables(path),
        sent: serde_json::from_str(&without_variables(sent)).ok(),
        status: answered.strip_prefix("answer=")?.to_owned(),
        answer: serde_json::from_str(answer).ok()?,
    })
}

/// Each `$NAME` becomes an id.
fn without_variables(text: &str) -> String {
    let mut pieces = text.split('$');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let name = |c: char| !(c.is_ascii_uppercase() || c == '_');
        let (variable, rest) = piece.split_at(piece.find(name).unwrap_or(piece.len()));
        // A lone dollar, as in `$ref`, is itself.
        filled.push_str(if variable.is_empty() { "$" } else { SOME_ID });
        filled.push_str(rest);
    }
    filled
}

/// Adds each to the operation that it shows. An example of a path under another prefix, or of none, is nobody's.
pub(super) fn add(document: &mut Value) {
    for example in all() {
        let Some(path) = path_of(document, &example) else { continue };
        let operation = &mut document["paths"][&path][&example.method];
        if let Some(sent) = example.sent
            && let Some(media) = operation.pointer_mut("/requestBody/content/application~1json")
            && example.status.starts_with('2')
        {
            put(media, sent);
        }
        // Those of errors are shared by all operations: an example would be one operation's alone.
        if let Some(media) = operation["responses"][&example.status].pointer_mut("/content/application~1json")
        {
            put(media, example.answer);
        }
    }
}

fn put(media: &mut Value, value: Value) {
    let Some(media) = media.as_object_mut() else { return };
    let examples = media.entry("examples").or_insert_with(|| Value::Object(Map::new()));
    let name = format!("example{}", examples.as_object().map_or(0, Map::len) + 1);
    examples[name] = json!({ "value": value });
}

/// The path of the document that an example's is an instance of: the most literal one.
pub(super) fn path_of(document: &Value, example: &Example) -> Option<String> {
    let paths = document["paths"].as_object()?;
    let fits = |path: &&String| paths[*path].get(&example.method).is_some() && matches(path, &example.path);
    paths
        .keys()
        .filter(fits)
        .max_by_key(|path| path.len() - 10 * path.matches('{').count().min(path.len() / 10))
        .cloned()
}

/// Whether a template has this instance. A name in braces stands for some characters but a slash.
pub(super) fn matches(template: &str, path: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == path };
    let Some(path) = path.strip_prefix(literal) else { return false };
    let Some((_, rest)) = rest.split_once('}') else { return false };
    let most = path.find('/').unwrap_or(path.len());
    (1..=most).filter(|end| path.is_char_boundary(*end)).any(|end| matches(rest, &path[end..]))
}
