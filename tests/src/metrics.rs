//! Prometheus text, read and checked the way `promtool check metrics` does.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug, Default)]
pub struct Metrics {
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
}

#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: bool,
}

/// One line of a scrape.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name with its suffix, as `_bucket`.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Errors
    /// Says what is not well-formed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Self::default();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                current = metrics.describe(comment, &current)?;
            } else if !line.is_empty() {
                let sample = Sample::parse(line).ok_or_else(|| format!("not a sample: {line}"))?;
                if family_name(&sample.name, &metrics.families) != current {
                    return Err(format!("{} stands outside its family", sample.name));
                }
                metrics.samples.push(sample);
            }
        }
        metrics.check()?;
        Ok(metrics)
    }

    /// The sum of all samples with this name and at least these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether there is a family of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.families.contains_key(name)
    }

    /// The samples with this name and at least these labels.
    pub fn select<'a>(&'a self, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a Sample> {
        let fits = |sample: &&Sample| labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value));
        self.samples.iter().filter(move |sample| sample.name == name).filter(fits)
    }

    fn describe(&mut self, comment: &str, current: &str) -> Result<String, String> {
        let mut words = comment.splitn(3, ' ');
        let (what, name, text) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if name != current && self.families.contains_key(name) {
            return Err(format!("{name} is described in two places"));
        }
        let family = self.families.entry(name.to_owned()).or_default();
        match what {
            Some("HELP") => family.help = !text.is_empty(),
            Some("TYPE") => text.clone_into(&mut family.kind),
            _ => return Err(format!("not a description: {comment}")),
        }
        Ok(name.to_owned())
    }

    fn check(&self) -> Result<(), String> {
        for (name, family) in &self.families {
            check_family(name, family)?;
        }
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            if !seen.insert((&sample.name, &sample.labels)) {
                return Err(format!("{}{:?} occurs twice", sample.name, sample.labels));
            }
        }
        self.check_histograms()
    }

    /// Buckets are cumulative, and the last one holds them all.
    fn check_histograms(&self) -> Result<(), String> {
        for count in self.samples.iter().filter(|sample| sample.name.ends_with("_count")) {
            let bucket = format!("{}_bucket", count.name.trim_end_matches("_count"));
            let labels: Vec<_> = count.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let values: Vec<f64> = self.select(&bucket, &labels).map(|sample| sample.value).collect();
            if !values.is_sorted() || values.last() != Some(&count.value) {
                return Err(format!("the buckets of {} are not cumulative: {values:?}", count.name));
            }
        }
        Ok(())
    }
}

fn check_family(name: &str, family: &Family) -> Result<(), String> {
    if !family.help {
        return Err(format!("{name} has no help text"));
    }
    if !["counter", "gauge", "histogram"].contains(&family.kind.as_str()) {
        return Err(format!("{name} has the type {:?}", family.kind));
    }
    if (family.kind == "counter") != name.ends_with("_total") {
        return Err(format!("{name} is a {}: counters, and only they, end in _total", family.kind));
    }
    if !is_name(name) {
        return Err(format!("{name} is not a name"));
    }
    Ok(())
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}')?)?),
            None => (series, BTreeMap::new()),
        };
        is_name(name).then(|| Self { name: name.to_owned(), labels, value })
    }
}

/// Reads `a="b",c="d"`, with the three escapes.
fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = read_value(rest)?;
        if !is_name(name) || labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

fn read_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

fn family_name<'a>(name: &'a str, families: &BTreeMap<String, Family>) -> &'a str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.filter(|stem| families.get(*stem).is_some_and(|family| family.kind == "histogram")).unwrap_or(name)
}

fn is_name(name: &str) -> bool {
    let fine = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    !name.is_empty() && !name.starts_with(|character: char| character.is_ascii_digit()) && name.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total Things.\n# TYPE a_total counter\na_total{b=\"c\\\"d\"} 2\na_total{b=\"e\"} 3\n\
        # HELP h Times.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n";

    #[test]
    fn a_scrape_is_read() {
        let metrics = Metrics::parse(GOOD).unwrap();
        assert!((metrics.sum("a_total", &[]) - 5.0).abs() < f64::EPSILON, "samples add up");
        assert!((metrics.sum("a_total", &[("b", "c\"d")]) - 2.0).abs() < f64::EPSILON, "escapes are undone");
    }

    #[test]
    fn what_promtool_refuses_is_refused() {
        #[track_caller]
        fn check(from: &str, to: &str) {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD, "the case changes something");
            assert!(Metrics::parse(&bad).is_err(), "refused: {bad}");
        }
        check("# HELP a_total Things.\n", "");
        check("a_total", "a");
        check("h_count 2", "h_count 3");
        check("b=\"e\"", "b=\"c\\\"d\"");
        check("h_sum", "a_total{b=\"f\"} 1\nh_sum");
        check("{b=\"e\"}", "{b=\"e}");
    }
}
