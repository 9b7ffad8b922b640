//! The two text formats of Prometheus, and which of them a scraper gets.

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4, which everything reads.
    Text,
    /// `OpenMetrics` 1.0, for those who ask for it.
    OpenMetrics,
}

/// The media type of `OpenMetrics`, in its text form.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// A quality value in thousandths (RFC 9110, section 12.4.2); what cannot be read is as good as nothing said.
const FULL_QUALITY: u32 = 1_000;

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// The format for a request with this `Accept`: `OpenMetrics` if that is named, and plain text is not liked better.
    pub fn accepted_by(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let quality = |media: &str, version: &str| {
            let ranges = accept.split(',').filter_map(|range| quality(range, media, version));
            ranges.max().unwrap_or(0)
        };
        let open_metrics = quality(OPEN_METRICS, "1.");
        if open_metrics > 0 && open_metrics >= quality("text/plain", "") { Self::OpenMetrics } else { Self::Text }
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How much a media range is liked, if it is of this media type and, where it says one, of a version that begins like this.
fn quality(range: &str, media: &str, version: &str) -> Option<u32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(media) {
        return None;
    }
    let mut quality = FULL_QUALITY;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "version" if !value.trim().trim_matches('"').starts_with(version) => return None,
            "q" | "Q" => quality = thousandths(value.trim()).unwrap_or(FULL_QUALITY),
            _ => {}
        }
    }
    Some(quality)
}

/// A number from 0 to 1 with at most three decimals, in thousandths.
fn thousandths(value: &str) -> Option<u32> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= FULL_QUALITY).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Text),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text; Version=1.0.0"), Format::OpenMetrics),
            (Some("application/openmetrics-text;version=\"1.0.0\""), Format::OpenMetrics),
            // Prometheus 2 and 3.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                Format::OpenMetrics,
            ),
            (
                Some(
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                      text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ),
                Format::OpenMetrics,
            ),
            (Some("application/openmetrics-text;version=0.0.1"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (Some("application/openmetrics-text;q=0.000"), Format::Text),
            (Some("text/plain,application/openmetrics-text;q=0.9"), Format::Text),
            (Some("application/openmetrics-text;q=much"), Format::OpenMetrics),
            (Some("application/openmetrics-textual"), Format::Text),
        ] {
            assert_eq!(Format::accepted_by(accept), expected, "{accept:?}");
        }
    }
}
