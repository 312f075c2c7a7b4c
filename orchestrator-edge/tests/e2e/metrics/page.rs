//! A scrape, read as strictly as Prometheus reads it.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) text: String,
    /// Families and their types.
    pub(super) families: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// With the suffix that a histogram's samples have.
    name: String,
    family: String,
    labels: Vec<(String, String)>,
    value: String,
}

impl Page {
    /// Reads a text. What is no text of the format ends the test: a family without help or type, one that comes twice, a sample
    /// outside of its family, a series that comes twice, a value that is no number.
    pub(super) fn read(text: &str) -> Self {
        let mut page = Self { text: text.to_owned(), families: BTreeMap::new(), samples: Vec::new() };
        assert!(text.ends_with('\n'));
        let (mut helped, mut current) = (String::new(), String::new());
        let mut seen = std::collections::BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty(), "{line}");
                name.clone_into(&mut helped);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped, "HELP stands before TYPE");
                assert!(page.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                name.clone_into(&mut current);
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(seen.insert(series.to_owned()), "{series} twice");
                page.samples.push(sample(series, value, &current, &page.families[&current]));
            }
        }
        page
    }

    /// The sum of all series of that name with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).into_iter().map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// The same of what is counted: whole numbers.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.of(name, labels).into_iter().map(|value| value.parse::<u64>().unwrap()).sum()
    }

    fn of(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&String> {
        let has = |sample: &&Sample| {
            let has = |label: &(&str, &str)| {
                sample.labels.iter().any(|(name, value)| (&**name, &**value) == *label)
            };
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(has).map(|sample| &sample.value).collect()
    }

    /// The labels of each sample, but for the bounds of buckets.
    pub(super) fn labels(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.samples.iter().map(|sample| {
            let labels = sample.labels.iter().map(|(label, _)| label.clone()).filter(|label| label != "le");
            (sample.family.clone(), labels.collect())
        })
    }
}

fn sample(series: &str, value: &str, family: &str, kind: &str) -> Sample {
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{series} stands below {family}"));
    let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(suffixes.contains(&suffix), "{series} is no {kind}");
    let mut labels = Vec::new();
    let mut rest = rest.trim_end_matches('}');
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        labels.push((label.trim_start_matches(',').to_owned(), value.to_owned()));
        rest = after;
    }
    assert!(value.parse::<f64>().is_ok(), "{series} is {value}");
    Sample { name: name.to_owned(), family: family.to_owned(), labels, value: value.to_owned() }
}
