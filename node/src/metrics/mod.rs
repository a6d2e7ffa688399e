//! The node's measurements for Prometheus: what the API serves, what the mempool holds, where the time goes.
//!
//! One registry of our own, with values that are asked for when somebody reads; the consensus engine's own registry
//! follows in the same text.

mod exposition;
#[cfg(test)]
pub(crate) mod lint;
pub(crate) mod sources;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub use exposition::Format;

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

/// Labels of a duration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// A value that is asked for when somebody reads the metrics.
pub struct Reading {
    /// Its name, without the prefix `yilian_`; a counter's without `_total`.
    pub name: &'static str,
    /// What it is, with its unit.
    pub help: &'static str,
    /// Labels, where there are several values of one name.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// It only grows.
    Counter(f64),
    /// It goes up and down.
    Gauge(f64),
}

/// Asked for readings; all of one name stand together.
type Source = Arc<dyn Fn() -> Vec<Reading> + Send + Sync>;

struct Readings(Source);

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let readings = (self.0)();
        for group in readings.chunk_by(|left, right| left.name == right.name) {
            let first = &group[0];
            let kind = match first.value {
                Value::Counter(_) => prometheus_client::metrics::MetricType::Counter,
                Value::Gauge(_) => prometheus_client::metrics::MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            if first.labels.is_empty() {
                encode_value(first.value, metric)?;
                continue;
            }
            for reading in group {
                encode_value(reading.value, metric.encode_family(&reading.labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode_value(value: Value, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
    match value {
        Value::Counter(value) => ConstCounter::new(value).encode(encoder),
        Value::Gauge(value) => ConstGauge::new(value).encode(encoder),
    }
}

/// The node's measurements.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter<u64, AtomicU64>>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Text of other registries, put behind ours.
    others: Option<fn(&mut String)>,
}

impl Metrics {
    /// Metrics with readings of `source`, and the text that `others` appends.
    pub fn new(
        source: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
        others: Option<fn(&mut String)>,
    ) -> Self {
        let mut registry = Registry::with_prefix("yilian");
        let requests = Family::default();
        registry.register("api_requests", "Requests answered, by route, method and status", requests.clone());
        // 1 ms to 33 s.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let durations = Family::new_with_constructor(histogram);
        registry.register(
            "api_request_duration_seconds",
            "Time from a request's headers to its answer's, in seconds",
            durations.clone(),
        );
        registry.register_collector(Box::new(Readings(Arc::new(source))));
        Self { registry, requests, durations, others }
    }

    /// Counts a request.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels =
            RequestLabels { route: route.to_owned(), method: known_method(method).to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// All measurements as text.
    pub fn encode(&self, format: Format) -> String {
        let mut families = Vec::new();
        let mut text = String::new();
        // Writing to a string fails only when a metric refuses to be written; then it is missing, and the log says so.
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics could not be written");
        }
        exposition::read(&text, &mut families);
        if let Some(others) = self.others {
            text.clear();
            others(&mut text);
            exposition::read(&text, &mut families);
        }
        exposition::write(&families, format)
    }
}

/// Methods that anybody can make up do not become labels.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "POST" | "HEAD" => method,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_requests_stand_in_one_text_with_one_end() {
        let source = || {
            let reading = |stage: &str, value| Reading {
                name: "stage_cpu_seconds",
                help: "CPU time",
                labels: vec![("stage", stage.to_owned())],
                value: Value::Counter(value),
            };
            let height =
                Reading { name: "height", help: "Last height", labels: vec![], value: Value::Gauge(7.0) };
            vec![reading("storage", 1.5), reading("execution", 2.0), height]
        };
        let metrics = Metrics::new(source, Some(|text| text.push_str("other_metric 1\n# EOF\n")));
        metrics.request("/v1/chain", "GET", 200, Duration::from_millis(3));
        metrics.request("/v1/chain", "BREW", 405, Duration::from_millis(3));
        let text = metrics.encode(Format::OpenMetrics);
        for line in [
            "yilian_api_requests_total{route=\"/v1/chain\",method=\"GET\",status=\"200\"} 1",
            "yilian_api_requests_total{route=\"/v1/chain\",method=\"other\",status=\"405\"} 1",
            "yilian_stage_cpu_seconds_total{stage=\"storage\"} 1.5",
            "yilian_stage_cpu_seconds_total{stage=\"execution\"} 2.0",
            "yilian_height 7.0",
            "other_metric 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
