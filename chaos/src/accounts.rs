//! The three books side by side: what callers got, what the providers were asked, what the ledger says. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::{
    answer,
    caller::{Call, Ended},
    gateway::ATTEMPTS,
    kind::{self, Kind},
    outcome::Outcome,
    report::Ask,
    schedule::PROVIDERS,
};

/// Failures that a run may show to its callers, of all its requests.
const MAY_FAIL: f64 = 0.001;
/// Of what a provider is asked, so much may be asked again for the same request (`policy/retry_budget.rs`).
const MAY_REPEAT: f64 = 0.2;
/// How many violations of each kind are spelled out.
const SHOWN: usize = 10;

/// What is compared.
#[derive(Debug)]
pub(crate) struct Books {
    /// What callers got, each call once.
    pub(crate) ended: Vec<Ended>,
    /// What the providers were asked, in order.
    pub(crate) asks: Vec<Ask>,
    /// The rows of `request_logs`.
    pub(crate) rows: Vec<Value>,
}

/// What the comparison shows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Calls answered to their end.
    pub(crate) complete: u64,
    /// Streams cut after content, that say so.
    pub(crate) cut: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
    /// Each provider's numbers.
    pub(crate) providers: [OfProvider; PROVIDERS],
    /// Calls by how many attempts they took.
    pub(crate) attempts: BTreeMap<u64, u64>,
    /// Answers that a provider gave to the end and no caller got: the gateway had turned away for their delay.
    pub(crate) unheard: u64,
    /// Rows in the ledger.
    pub(crate) rows: usize,
    /// Tokens of completed answers, read and written, as the ledger has them.
    pub(crate) ledger_tokens: (u64, u64),
    /// The same as the providers counted them.
    pub(crate) provider_tokens: (u64, u64),
    /// Kinds of faults that no request met.
    pub(crate) unmet: Vec<Kind>,
    /// The calls that failed; a few may.
    pub(crate) failures: Vec<String>,
    /// What must not be.
    pub(crate) violations: Violations,
}

/// One provider's numbers.
#[derive(Debug, Default)]
pub(crate) struct OfProvider {
    /// How often it was asked.
    pub(crate) asked: u64,
    /// How often by a request that had asked it before.
    pub(crate) repeats: u64,
    /// What it did instead of answering as it should.
    pub(crate) kinds: BTreeMap<String, u64>,
}

/// What must not be, by kind; the first few of each are kept.
#[derive(Debug, Default)]
pub(crate) struct Violations(BTreeMap<&'static str, (u64, Vec<String>)>);

impl Violations {
    fn add(&mut self, what: &'static str, which: String) {
        let (count, shown) = self.0.entry(what).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            shown.push(which);
        }
    }

    /// A line for each, and its first examples.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (what, (count, shown)) in &self.0 {
            lines.push(format!("{count} × {what}"));
            lines.extend(shown.iter().map(|which| format!("    {which}")));
        }
        lines
    }

    /// Whether all is as it should be.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compares the books.
pub(crate) fn compare(books: &Books) -> Findings {
    let mut findings = Findings { rows: books.rows.len(), ..Findings::default() };
    let asks = by_request(&books.asks);
    let rows = rows_by_request(&books.rows, &mut findings.violations);
    count_asks(&asks, &mut findings);
    for ended in &books.ended {
        let id = ended.call.request_id();
        let asked = asks.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let row = match rows.get(id.as_str()).map_or(&[][..], Vec::as_slice) {
            [row] => *row,
            rows => {
                findings
                    .violations
                    .add("request not in the ledger exactly once", format!("{id}: {}", rows.len()));
                continue;
            }
        };
        judge_call(ended, asked, row, &mut findings);
    }
    let heard = findings.complete;
    findings.unheard = (books.asks.iter().filter(|ask| ask.whole).count() as u64).saturating_sub(heard);
    judge_totals(books, &mut findings);
    findings
}

fn by_request(asks: &[Ask]) -> HashMap<&str, Vec<&Ask>> {
    let mut by_request: HashMap<&str, Vec<&Ask>> = HashMap::new();
    for ask in asks {
        by_request.entry(&ask.request_id).or_default().push(ask);
    }
    by_request
}

fn rows_by_request<'a>(rows: &'a [Value], violations: &mut Violations) -> HashMap<&'a str, Vec<&'a Value>> {
    let mut by_request: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in rows {
        let id = row["request_id"].as_str().unwrap_or_default();
        if !id.starts_with(Call::PREFIX) {
            violations.add("row in the ledger that nobody asked for", row.to_string());
        }
        by_request.entry(id).or_default().push(row);
    }
    by_request
}

fn count_asks(asks: &HashMap<&str, Vec<&Ask>>, findings: &mut Findings) {
    for (id, asks) in asks {
        if asks.len() as u64 > u64::from(ATTEMPTS) {
            findings.violations.add("more attempts than a request has", told(id, asks));
        }
        for (place, ask) in asks.iter().enumerate() {
            let provider = &mut findings.providers[ask.provider];
            provider.asked += 1;
            let before = asks.iter().take(place);
            provider.repeats += u64::from(before.clone().any(|earlier| earlier.provider == ask.provider));
            let kind = ask.kind.map_or("in_order".to_owned(), |kind| format!("{kind:?}"));
            *provider.kinds.entry(kind).or_default() += 1;
        }
    }
}

fn judge_call(ended: &Ended, asks: &[&Ask], row: &Value, findings: &mut Findings) {
    let id = ended.call.request_id();
    let number = |column: &str| row[column].as_u64().unwrap_or_default();
    let all = || format!("{}, the ledger: {}", told(&id, asks), in_short(row));
    *findings.attempts.entry(number("attempts")).or_default() += 1;
    if number("attempts") != asks.len() as u64 {
        findings.violations.add("attempts in the ledger other than at the providers", all());
    }
    let reported = row["usage_source"] == "provider";
    match &ended.outcome {
        Outcome::Complete(text) => {
            findings.complete += 1;
            let Some(ask) = heard(text, asks) else {
                findings.violations.add("answer that no provider gave", format!("{text:?}, {}", all()));
                return;
            };
            let (prompt, completion) = (number("prompt_tokens"), number("completion_tokens"));
            findings.ledger_tokens.0 += prompt;
            findings.ledger_tokens.1 += completion;
            findings.provider_tokens.0 += ask.prompt;
            findings.provider_tokens.1 += ask.completion;
            let same = (prompt, completion) == (ask.prompt, ask.completion);
            if !(same && reported && row["outcome"] == "ok" && number("status") == 200) {
                findings.violations.add("answer recorded otherwise than it was given", all());
            }
        }
        Outcome::Cut(_) => {
            findings.cut += 1;
            if row["outcome"] == "ok" || reported {
                findings.violations.add("cut stream that the ledger takes for a whole one", all());
            }
        }
        // No program of the gateway ends here, and a provider that has said why it stops may stop.
        Outcome::Unended(what) | Outcome::Dishonest(what) => {
            findings.violations.add("stream without an honest end", format!("{what:?}, {}", all()));
        }
        Outcome::Failed(what) => {
            findings.failed += 1;
            let told = format!("after {} ms: {what:?}, {}", ended.took.as_millis(), all());
            findings.failures.push(told);
            if row["outcome"] == "ok" {
                findings.violations.add("failure that the ledger takes for a success", all());
            }
        }
    }
}

fn judge_totals(books: &Books, findings: &mut Findings) {
    let total = books.ended.len() as f64;
    let share = findings.failed as f64 / total;
    if share > MAY_FAIL {
        findings.violations.add("share of failures above the limit", format!("{share:.5}, not {MAY_FAIL}"));
    }
    if findings.ledger_tokens != findings.provider_tokens {
        let sums = format!("{:?}, not {:?}", findings.ledger_tokens, findings.provider_tokens);
        findings.violations.add("sum of tokens other than at the providers", sums);
    }
    let met: BTreeSet<Kind> = books.asks.iter().filter_map(|ask| ask.kind).collect();
    let rows: BTreeSet<&str> = met.iter().map(|kind| kind.row()).collect();
    findings.unmet = kind::all().filter(|kind| !met.contains(kind)).collect();
    for row in kind::all().map(Kind::row).collect::<BTreeSet<_>>().difference(&rows) {
        findings.violations.add("row of the table of faults that no request met", (*row).to_owned());
    }
    for (number, provider) in findings.providers.iter().enumerate() {
        if provider.repeats as f64 > provider.asked as f64 * MAY_REPEAT {
            let told = format!("p{number}: {} of {}", provider.repeats, provider.asked);
            findings.violations.add("provider asked again beyond its budget", told);
        }
    }
}

/// The answer that a text is, to its last letter.
fn heard<'a>(text: &str, asks: &[&'a Ask]) -> Option<&'a Ask> {
    let number = answer::number_in(text)?;
    let ask = asks.iter().find(|ask| ask.answer == number)?;
    (ask.whole && text == answer::text(number)).then_some(*ask)
}

fn told(id: &str, asks: &[&Ask]) -> String {
    let one = |ask: &&Ask| {
        let kind = ask.kind.map_or("in order".to_owned(), |kind| format!("{kind:?}"));
        format!("p{} k{} at {} ms {kind}", ask.provider, ask.key, ask.at_ms)
    };
    format!("{id} [{}]", asks.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn in_short(row: &Value) -> String {
    let columns = [
        "stream",
        "dialect",
        "model",
        "provider",
        "provider_key",
        "attempts",
        "status",
        "outcome",
        "error",
        "prompt_tokens",
        "completion_tokens",
        "usage_source",
    ];
    columns.map(|column| format!("{column} {}", row[column])).join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    /// One answer that all three books agree on.
    fn books() -> Books {
        let call = Call { number: 0 };
        let ended =
            Ended { call, at_ms: 0, took: Duration::ZERO, outcome: Outcome::Complete(answer::text(9)) };
        let ask = Ask {
            request_id: call.request_id(),
            provider: 0,
            key: 0,
            at_ms: 0,
            kind: None,
            answer: 9,
            whole: true,
            prompt: 3,
            completion: 4,
        };
        let row = json!({
            "request_id": call.request_id(), "outcome": "ok", "status": 200, "attempts": 1, "usage_source": "provider",
            "prompt_tokens": 3, "completion_tokens": 4,
        });
        Books { ended: vec![ended], asks: vec![ask], rows: vec![row] }
    }

    /// What is wrong with these books, but for rows of the table of faults: nothing is faulty here.
    fn wrong(change: impl FnOnce(&mut Books)) -> Vec<&'static str> {
        let mut books = books();
        change(&mut books);
        let violations = compare(&books).violations.0;
        violations.into_keys().filter(|what| !what.starts_with("row of the table")).collect()
    }

    #[test]
    fn books_that_agree_are_in_order_and_each_difference_is_found() {
        assert_eq!(wrong(|_| ()), Vec::<&str>::new());
        let once = "request not in the ledger exactly once";
        assert_eq!(wrong(|books| books.rows.clear()), [once]);
        assert_eq!(wrong(|books| books.rows.push(books.rows[0].clone())), [once]);
        let tokens =
            ["answer recorded otherwise than it was given", "sum of tokens other than at the providers"];
        assert_eq!(wrong(|books| books.rows[0]["prompt_tokens"] = json!(2)), tokens);
        assert_eq!(wrong(|books| books.asks[0].answer = 8), ["answer that no provider gave"]);
        let repeated =
            ["attempts in the ledger other than at the providers", "provider asked again beyond its budget"];
        assert_eq!(wrong(|books| books.asks.push(books.asks[0].clone())), repeated);
        let failed = |books: &mut Books| books.ended[0].outcome = Outcome::Failed(String::new());
        assert_eq!(
            wrong(failed),
            ["failure that the ledger takes for a success", "share of failures above the limit"]
        );
        let cut = |books: &mut Books| books.ended[0].outcome = Outcome::Cut(String::new());
        assert_eq!(wrong(cut), ["cut stream that the ledger takes for a whole one"]);
    }
}
