//! `logging`: the shape of log lines, which calls write one, and whether upstreams are quoted.

use crate::config::{LogFormat, Logging};
use crate::fields::Fields;

pub(super) fn read(root: &mut Fields<'_>) -> Logging {
    let mut logging = Logging { format: LogFormat::Auto, access: true, sample: 1.0, upstream_errors: false };
    let Some(mut fields) = root.take("logging").and_then(|item| item.fields()) else { return logging };
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
    if let Some(format) = fields.take("format").and_then(|item| item.choice(&formats)) {
        logging.format = format;
    }
    logging.access = fields.flag("access").unwrap_or(logging.access);
    if let Some(sample) = fields.take("sample").and_then(|item| item.number(0.0..=1.0)) {
        logging.sample = sample;
    }
    logging.upstream_errors = fields.flag("upstream_errors").unwrap_or(logging.upstream_errors);
    fields.finish();
    logging
}
