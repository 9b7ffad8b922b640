//! Families as text.
//!
//! The encoder of `prometheus-client` writes `OpenMetrics`, where a counter's family is called `requests` and its series
//! `requests_total`. In the older text format both are called `requests_total`. There a counter is described as such, and its
//! series are written like a gauge's: by their value, with nothing put behind the name.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::family::Family;
use super::{Format, Readings};

/// What every metric's name begins with.
const PREFIX: &str = "llm_proxy";

/// Where families are written to.
pub(super) struct Exposition<'a> {
    encoder: DescriptorEncoder<'a>,
    format: Format,
}

/// What a family is called, without the prefix and without `_total`, and what it says.
pub(super) struct Heading {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

impl Exposition<'_> {
    /// Writes a family of counters.
    pub(super) fn counters<L, V>(&mut self, heading: &Heading, rows: impl IntoIterator<Item = (L, V)>) -> fmt::Result
    where
        L: EncodeLabelSet,
        V: EncodeCounterValue + EncodeGaugeValue,
    {
        let (name, format) = (self.counter_name(heading), self.format);
        let mut family = self.encoder.encode_descriptor(&name, heading.help, None, MetricType::Counter)?;
        rows.into_iter().try_for_each(|(labels, value)| {
            let mut series = family.encode_family(&labels)?;
            match format {
                Format::Text => series.encode_gauge(&value),
                Format::OpenMetrics => series.encode_counter::<NoLabelSet, _, f64>(&value, None),
            }
        })
    }

    /// Writes a counter without labels.
    pub(super) fn counter(&mut self, heading: &Heading, value: u64) -> fmt::Result {
        let (name, format) = (self.counter_name(heading), self.format);
        let mut series = self.encoder.encode_descriptor(&name, heading.help, None, MetricType::Counter)?;
        match format {
            Format::Text => series.encode_gauge(&value),
            Format::OpenMetrics => series.encode_counter::<NoLabelSet, _, f64>(&value, None),
        }
    }

    /// Writes a family of gauges.
    pub(super) fn gauges<L, V>(&mut self, heading: &Heading, rows: impl IntoIterator<Item = (L, V)>) -> fmt::Result
    where
        L: EncodeLabelSet,
        V: EncodeGaugeValue,
    {
        let mut family = self.encoder.encode_descriptor(heading.name, heading.help, None, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// Writes a gauge without labels.
    pub(super) fn gauge(&mut self, heading: &Heading, value: u64) -> fmt::Result {
        self.encoder.encode_descriptor(heading.name, heading.help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes a family of histograms.
    pub(super) fn histograms<L>(
        &mut self,
        heading: &Heading,
        rows: impl IntoIterator<Item = (L, Histogram)>,
    ) -> fmt::Result
    where
        L: EncodeLabelSet,
    {
        let mut family = self.encoder.encode_descriptor(heading.name, heading.help, None, MetricType::Histogram)?;
        rows.into_iter().try_for_each(|(labels, histogram)| histogram.encode(family.encode_family(&labels)?))
    }

    fn counter_name(&self, heading: &Heading) -> String {
        match self.format {
            Format::Text => format!("{}_total", heading.name),
            Format::OpenMetrics => heading.name.to_owned(),
        }
    }
}

/// Everything that there is to write.
struct Scrape {
    families: Arc<[Box<dyn Family>]>,
    readings: Readings,
    format: Format,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut exposition = Exposition { encoder, format: self.format };
        self.families.iter().try_for_each(|family| family.encode(&mut exposition, &self.readings))
    }
}

/// All families as text.
pub(super) fn expose(families: Arc<[Box<dyn Family>]>, format: Format, readings: &Readings) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Scrape { families, readings: readings.clone(), format }));
    let mut text = String::new();
    let written = match format {
        Format::Text => text::encode_registry(&mut text, &registry),
        Format::OpenMetrics => text::encode(&mut text, &registry),
    };
    debug_assert!(written.is_ok(), "a string takes whatever is written to it");
    text
}
