//! The text of `/metrics`: families of metrics read from the registries' text (OpenMetrics), put in order, and written in the
//! format that the caller asks for.
//!
//! Prometheus asks for OpenMetrics; `curl` and `promtool check metrics` read the older text format, in which the name of a
//! counter's family ends in `_total` like its samples. The engine registers some counters with that ending already, which
//! then comes twice; here it comes once.

use std::fmt::Write as _;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// What a caller takes who sends this `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Family {
    /// The name, of a counter without `_total`.
    pub name: String,
    /// The type, in OpenMetrics' words.
    pub kind: String,
    /// What it is.
    pub help: String,
    unit: Option<String>,
    /// What follows the name, such as `_total{route="/health"} 3`.
    pub samples: Vec<String>,
}

const TOTAL: &str = "_total";

/// Reads a registry's text; families of one name become one.
pub(super) fn read(text: &str, families: &mut Vec<Family>) {
    let mut at: Option<(usize, String)> = None;
    for line in text.lines().filter(|line| !line.is_empty() && *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", word @ ("HELP" | "TYPE" | "UNIT"), name, value] => {
                let name = name.to_owned();
                if at.as_ref().is_none_or(|(_, present)| *present != name) {
                    at = Some((find(families, &name), name));
                }
                let Some((place, _)) = at else { continue };
                let family = &mut families[place];
                match word {
                    "HELP" => family.help = value.to_owned(),
                    "TYPE" => family.kind = value.to_owned(),
                    _ => family.unit = Some(value.to_owned()),
                }
            }
            _ => {
                // A sample belongs to the family before it; one without is a family of its own.
                let end = line.find(['{', ' ']).unwrap_or(line.len());
                let belongs = at.as_ref().filter(|(_, name)| line[..end].starts_with(name.as_str()));
                let (place, length) = match belongs {
                    Some((place, name)) => (*place, name.len()),
                    None => (find(families, &line[..end]), end),
                };
                families[place].samples.push(line[length..].to_owned());
            }
        }
    }
    families.iter_mut().filter(|family| family.kind == "counter").for_each(|family| {
        if let Some(base) = family.name.strip_suffix(TOTAL) {
            family.name = base.to_owned();
        }
    });
}

fn find(families: &mut Vec<Family>, name: &str) -> usize {
    let is_known = |family: &Family| {
        family.name == name || family.kind == "counter" && name.strip_suffix(TOTAL) == Some(&family.name)
    };
    families.iter().position(is_known).unwrap_or_else(|| {
        families.push(Family { name: name.to_owned(), ..Family::default() });
        families.len() - 1
    })
}

/// Writes families.
pub(super) fn write(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families {
        // Writing to a string does not fail.
        let _ = family.write(&mut text, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

impl Family {
    fn write(&self, text: &mut String, format: Format) -> std::fmt::Result {
        let Self { name, help, unit, .. } = self;
        let (shown, kind) = match (format, self.kind.as_str()) {
            (Format::OpenMetrics, kind) => (name.clone(), kind),
            (Format::Text, "counter") => (format!("{name}{TOTAL}"), "counter"),
            // The older format has neither.
            (Format::Text, "info" | "stateset") => (name.clone(), "gauge"),
            (Format::Text, "unknown" | "") => (name.clone(), "untyped"),
            (Format::Text, kind) => (name.clone(), kind),
        };
        writeln!(text, "# HELP {shown} {help}")?;
        writeln!(text, "# TYPE {shown} {kind}")?;
        if let (Format::OpenMetrics, Some(unit)) = (format, unit) {
            writeln!(text, "# UNIT {shown} {unit}")?;
        }
        self.samples.iter().try_for_each(|sample| writeln!(text, "{name}{sample}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP api_requests Requests.\n# TYPE api_requests counter\napi_requests_total{a=\"b c\"} 3\n\
                        # HELP parts_total Parts.\n# TYPE parts_total counter\nparts_total_total{x=\"1\"} 4\n\
                        # HELP took_seconds Time.\n# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n\
                        took_seconds_sum 1.5\ntook_seconds_count 2\ntook_seconds_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn a_counters_ending_comes_once_in_both_formats_and_families_of_one_name_are_one() {
        let mut families = Vec::new();
        read(TEXT, &mut families);
        read(
            "# HELP parts_total Parts.\n# TYPE parts_total counter\nparts_total_total{x=\"2\"} 5\n",
            &mut families,
        );
        assert_eq!(families.len(), 3, "{families:?}");
        let open = write(&families, Format::OpenMetrics);
        assert!(
            open.contains("# TYPE parts counter\nparts_total{x=\"1\"} 4\nparts_total{x=\"2\"} 5\n"),
            "{open}"
        );
        assert!(
            open.contains("# UNIT took_seconds seconds\ntook_seconds_sum 1.5\n") && open.ends_with("# EOF\n")
        );
        let text = write(&families, Format::Text);
        assert!(
            text.contains("# HELP parts_total Parts.\n# TYPE parts_total counter\nparts_total{x=\"1\"} 4\n")
        );
        assert!(
            text.contains("# TYPE api_requests_total counter\napi_requests_total{a=\"b c\"} 3\n"),
            "{text}"
        );
        assert!(!text.contains("EOF") && !text.contains("UNIT") && !text.contains("_total_total"), "{text}");
    }

    #[test]
    fn the_format_is_the_one_asked_for() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
    }
}
