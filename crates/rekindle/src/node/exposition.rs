//! Prometheus's text format (0.0.4), as the node exporter's textfile collector reads it.

use std::fmt::Write;

/// Samples, each metric with its help and its type before it.
#[derive(Default)]
pub struct Exposition(String);

impl Exposition {
    /// One value of a gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.gauges(name, help, &[], [(Vec::new(), value)]);
    }

    /// Values of one gauge, told apart by labels whose names are `labels`. Without a value there is nothing.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<String>, i64)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // A String takes everything.
        let _ = writeln!(self.0, "# HELP rekindle_{name} {help}\n# TYPE rekindle_{name} gauge");
        for (own, value) in values {
            let pairs: Vec<String> = labels
                .iter()
                .zip(own)
                .map(|(label, own)| {
                    format!(
                        "{label}=\"{}\"",
                        own.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
                    )
                })
                .collect();
            let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
            let _ = writeln!(self.0, "rekindle_{name}{pairs} {value}");
        }
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Values of a metric by its labels.
    pub type Parsed = BTreeMap<String, BTreeMap<Vec<(String, String)>, f64>>;

    /// Reads the format as strictly as it is written down: each metric in one group, HELP, TYPE, then its samples; no
    /// sample twice; names of the alphabet, known escapes only; a line feed at the end.
    pub fn parse(text: &str) -> Result<Parsed, String> {
        let mut parsed = Parsed::new();
        let mut current = String::new();
        let mut expected = "HELP";
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        for line in text.lines() {
            let wrong = |why: &str| Err(format!("{line:?}: {why}"));
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or(format!("{line:?}: no help"))?;
                unescape(help, false)?;
                if expected == "TYPE" || !is_name(name, true) || help.trim().is_empty() {
                    return wrong("a help out of place, or none");
                }
                if parsed.insert(name.to_owned(), BTreeMap::new()).is_some() {
                    return wrong("this metric was there");
                }
                (current, expected) = (name.to_owned(), "TYPE");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                if expected != "TYPE" || rest != format!("{current} gauge") {
                    return wrong("a type out of place");
                }
                expected = "sample";
            } else {
                let (series, value) = line.rsplit_once(' ').ok_or(format!("{line:?}: no value"))?;
                let value: f64 = value.parse().map_err(|_| format!("{line:?}: no number"))?;
                let (name, labels) = match series.split_once('{') {
                    Some((name, rest)) => (name, labels(rest.strip_suffix('}').ok_or("no }")?)?),
                    None => (series, Vec::new()),
                };
                if expected == "TYPE" || name != current {
                    return wrong("a sample out of place");
                }
                expected = "sample or HELP";
                if parsed.entry(name.to_owned()).or_default().insert(labels, value).is_some() {
                    return wrong("this sample was there");
                }
            }
        }
        match parsed.iter().find(|(_, samples)| samples.is_empty()) {
            Some((name, _)) => Err(format!("{name}: no sample")),
            None => Ok(parsed),
        }
    }

    fn is_name(name: &str, of_metric: bool) -> bool {
        let good = |char: char| char.is_ascii_alphanumeric() || char == '_' || (of_metric && char == ':');
        !name.is_empty() && name.chars().all(good) && !name.starts_with(|char: char| char.is_ascii_digit())
    }

    fn labels(mut rest: &str) -> Result<Vec<(String, String)>, String> {
        let mut labels = Vec::new();
        while !rest.is_empty() {
            let (name, value) = rest.split_once("=\"").ok_or(format!("{rest:?}: no label"))?;
            let mut escaped = false;
            let end = value.find(|char| {
                let ends = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                ends
            });
            let end = end.ok_or(format!("{rest:?}: no end"))?;
            if !is_name(name, false) || labels.iter().any(|(known, _)| known == name) {
                return Err(format!("{name:?} is no label, or twice there"));
            }
            labels.push((name.to_owned(), unescape(&value[..end], true)?));
            rest = &value[end + 1..];
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or(format!("{rest:?}: no comma"))?;
            }
        }
        Ok(labels)
    }

    fn unescape(text: &str, of_label: bool) -> Result<String, String> {
        let (mut plain, mut chars) = (String::new(), text.chars());
        while let Some(char) = chars.next() {
            plain.push(match (char, of_label) {
                ('\\', _) => match (chars.next(), of_label) {
                    (Some('\\'), _) => '\\',
                    (Some('n'), _) => '\n',
                    (Some('"'), true) => '"',
                    other => return Err(format!("{text:?}: no such escape: {other:?}")),
                },
                ('"', true) => return Err(format!("{text:?}: a bare quote")),
                (char, _) => char,
            });
        }
        Ok(plain)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut exposition = Exposition::default();
        exposition.gauge("one", "A help with \\ and\na line.", -3);
        let odd = "/a \"b\"\\c\nd, e={}";
        exposition.gauges("two", "Two.", &["path", "ca"], [(vec![odd.to_owned(), "no".into()], 7)]);
        exposition.gauges("none", "None.", &["path"], []);
        let parsed = parse(&exposition.text()).unwrap();
        assert_eq!(parsed.keys().collect::<Vec<_>>(), ["rekindle_one", "rekindle_two"]);
        let labels = vec![("path".to_owned(), odd.to_owned()), ("ca".to_owned(), "no".to_owned())];
        assert_eq!(parsed["rekindle_two"][&labels], 7.0);
        for wrong in [
            "a 1\n",
            "# HELP a b\n# TYPE a gauge\na 1",
            "# HELP a b\n# TYPE a gauge\n",
            "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
            "# HELP a b\n# TYPE a gauge\nb 1\n",
            "# HELP a b\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na{1=\"q\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na one\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
