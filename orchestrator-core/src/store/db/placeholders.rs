//! `?` as PostgreSQL wants it: `$1`, `$2`, …

/// Numbers the placeholders of a statement; what stands in quotes is left as it is.
///
/// This is done each time, and not kept: finding what was kept would read the whole text too, which is all that this does.
pub(super) fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + sql.len() / 4);
    let mut number = 0_usize;
    let mut quote = None;
    for character in sql.chars() {
        match (character, quote) {
            ('?', None) => {
                number += 1;
                out.push('$');
                out.push_str(&number.to_string());
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if open == character => quote = None,
            _ => {}
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_and_quoted_question_marks_are_not() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b IN (?, ?)", "a = $1 AND b IN ($2, $3)"),
            ("a = '?' AND b = ?", "a = '?' AND b = $1"),
            ("a = 'it''s ?' AND b = ?", "a = 'it''s ?' AND b = $1"),
            ("\"odd ? name\" = ? || '\"?'", "\"odd ? name\" = $1 || '\"?'"),
            ("naïve = '模?型' OR x = ?", "naïve = '模?型' OR x = $1"),
        ];
        for (sql, wanted) in cases {
            assert_eq!(numbered(sql), wanted);
        }
        let many = numbered(&["?"; 1000].join(","));
        assert!(many.starts_with("$1,$2,") && many.ends_with(",$999,$1000"));
    }
}
