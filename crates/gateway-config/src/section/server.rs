//! `server`: the callers' listener and its limits.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::config::{Cors, Queue, Server, TlsFiles};
use crate::fields::Fields;
use crate::item::Item;

/// The port that the project has always had.
const DEFAULT_PORT: u16 = 18_000;
/// Body limits outside of this are mistakes of unit.
const BODY_RANGE: std::ops::RangeInclusive<u64> = 1 << 10..=4 << 30;

impl Default for Server {
    /// The listener of a configuration that does not mention it.
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: DEFAULT_PORT,
            reuse_port: false,
            workers: None,
            max_body: 32 << 20,
            max_in_flight: 10_000,
            queue: Queue { size: 1000, timeout: Duration::from_secs(1) },
            state_dir: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            tls: None,
            cors: None,
        }
    }
}

pub(super) fn read(root: &mut Fields<'_>) -> Server {
    let default = Server::default();
    let Some(mut fields) = root.take("server").and_then(|item| item.fields()) else { return default };
    let host = fields.take("host").and_then(|item| item.name("a host name or an address").map(str::to_owned));
    let port = fields.take("port").and_then(|item| item.integer(0..=u64::from(u16::MAX)));
    let reuse_port = fields.flag("reuse_port");
    let workers = fields.take("workers").and_then(|item| read_workers(&item));
    let max_body = fields.take("max_body").and_then(|item| read_max_body(&item));
    let state_dir = fields.take("state_dir").and_then(|item| item.text("the path of a directory").map(PathBuf::from));
    let server = Server {
        host: host.unwrap_or(default.host),
        port: port.unwrap_or(default.port),
        reuse_port: reuse_port.unwrap_or(default.reuse_port),
        workers,
        max_body: max_body.unwrap_or(default.max_body),
        max_in_flight: read_max_in_flight(&mut fields).unwrap_or(default.max_in_flight),
        queue: read_queue(&mut fields, default.queue),
        state_dir,
        header_timeout: fields.positive_duration("header_timeout").unwrap_or(default.header_timeout),
        body_timeout: fields.positive_duration("body_timeout").unwrap_or(default.body_timeout),
        drain_timeout: fields.duration("drain_timeout").unwrap_or(default.drain_timeout),
        tls: fields.take("tls").and_then(|item| read_tls(&item)),
        cors: fields.take("cors").and_then(|item| read_cors(&item)),
    };
    fields.finish();
    server
}

fn read_workers(item: &Item<'_>) -> Option<usize> {
    let text = item.scalar("auto or a number of threads")?;
    if text == "auto" {
        return None;
    }
    let workers = text.parse().ok().filter(|workers| (1..=1024).contains(workers));
    if workers.is_none() {
        item.refuse_text(text, "auto or a whole number from 1 to 1024");
    }
    workers
}

fn read_max_body(item: &Item<'_>) -> Option<u64> {
    let size = item.size()?;
    if !BODY_RANGE.contains(&size) {
        item.refuse_text(item.scalar("a size")?, "a size from 1KiB to 4GiB");
    }
    Some(size)
}

fn read_tls(item: &Item<'_>) -> Option<TlsFiles> {
    let mut fields = item.fields()?;
    let cert = fields.require("cert").and_then(|item| item.text("the path of a PEM file"));
    let key = fields.require("key").and_then(|item| item.text("the path of a PEM file"));
    fields.finish();
    Some(TlsFiles { cert: PathBuf::from(cert?), key: PathBuf::from(key?) })
}

fn read_cors(item: &Item<'_>) -> Option<Cors> {
    let mut fields = item.fields()?;
    let origins = fields.take("allowed_origins").map(|item| read_list(&item, check_origin));
    let headers = fields.take("allowed_headers").map(|item| read_list(&item, check_header_name));
    let max_age = fields.duration("max_age").unwrap_or(Duration::from_mins(10));
    fields.finish();
    Some(Cors { allowed_origins: any_or(origins), allowed_headers: any_or(headers), max_age })
}

/// An absent list and one with `*` both mean any.
fn any_or(list: Option<Vec<String>>) -> Option<Vec<String>> {
    list.filter(|list| !list.iter().any(|element| element == "*"))
}

fn read_list(item: &Item<'_>, check: impl Fn(&Item<'_>, &str)) -> Vec<String> {
    let mut list = Vec::new();
    for element in item.items() {
        let Some(text) = element.name("a text") else { continue };
        if text != "*" {
            check(&element, text);
        }
        list.push(text.to_owned());
    }
    list
}

/// An origin is a scheme, a host and perhaps a port (RFC 6454, section 6.2).
fn check_origin(item: &Item<'_>, text: &str) {
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some())
        && text.split_once("://").is_some_and(|(_, host)| !host.contains(['/', '?', '#', '@']));
    if !is_origin {
        item.refuse_text(text, "`*` or an origin without a path, such as https://app.example.com");
    }
}

fn check_header_name(item: &Item<'_>, text: &str) {
    if HeaderName::try_from(text).is_err() {
        item.refuse_text(text, "`*` or the name of a header");
    }
}

/// Reads how much may be in flight at once.
pub(super) fn read_max_in_flight(fields: &mut Fields<'_>) -> Option<u32> {
    fields.take("max_in_flight")?.integer(1..=1_000_000)
}

fn read_queue(fields: &mut Fields<'_>, default: Queue) -> Queue {
    let Some(mut fields) = fields.take("queue").and_then(|item| item.fields()) else { return default };
    let size = fields.take("size").and_then(|item| item.integer(0..=100_000));
    let timeout = fields.positive_duration("timeout");
    fields.finish();
    Queue { size: size.unwrap_or(default.size), timeout: timeout.unwrap_or(default.timeout) }
}
