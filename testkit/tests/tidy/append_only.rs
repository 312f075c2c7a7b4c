//! The audit log is only ever added to: no statement of the program changes or deletes a row of it.

use crate::source::Source;

/// What no file says, in whatever case. A table's name in a variable is caught by the second rule: the log's rows are no `Entity`.
const FORBIDDEN: [&str; 6] = [
    "update audit_log",
    "delete from audit_log",
    "replace into audit_log",
    "truncate audit_log",
    "truncate table audit_log",
    "entity for auditentry",
];

pub(crate) fn check(source: &Source) -> Vec<String> {
    if !source.is_product() {
        return Vec::new();
    }
    let words: Vec<&str> = source.text.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let said = FORBIDDEN.iter().filter(|statement| text.contains(*statement));
    said.map(|statement| source.at(1, &format!("says \"{statement}\": the audit log is only added to")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_changes_the_log_is_caught_however_it_is_written() {
        let caught = |code: &str| check(&Source::new("orchestrator-core/src/store/x.rs", code)).len();
        assert_eq!(caught("let sql = \"DELETE FROM audit_log WHERE id = ?\";"), 1);
        assert_eq!(caught("let sql = \"Update\n    audit_log SET actor = ''\";"), 1);
        assert_eq!(caught("impl Entity for AuditEntry {"), 1);
        assert_eq!(caught("let sql = \"INSERT INTO audit_log (id) VALUES (?)\";"), 0);
        assert_eq!(caught("let sql = \"SELECT id FROM audit_log\";"), 0);
    }
}
