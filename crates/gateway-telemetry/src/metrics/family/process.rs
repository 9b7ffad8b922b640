//! The state of the process, read when somebody looks.

use std::fmt;

use super::Family;
use crate::metrics::Readings;
use crate::metrics::exposition::{Exposition, Heading};

pub(super) struct Process;

impl Family for Process {
    fn encode(&self, out: &mut Exposition<'_>, readings: &Readings) -> fmt::Result {
        let queue = Heading { name: "queue_depth", help: "Calls that wait for a place" };
        out.gauge(&queue, readings.queue_depth)?;
        let version = Heading { name: "config_version", help: "The version of the configuration in force" };
        out.gauge(&version, readings.config_version)?;
        let reloads = Heading { name: "config_reloads", help: "Attempts to put a new configuration in force" };
        let results = [("success", readings.reloads.success), ("failure", readings.reloads.failure)];
        out.counters(&reloads, results.map(|(result, count)| ([("result", result)], count)))?;
        let dropped = Heading {
            name: "log_lines_dropped",
            help: "Lines of the log that were lost, because their reader was too slow or they could not be written",
        };
        out.counter(&dropped, readings.dropped_log_lines)?;
        let traces = Heading {
            name: "traces_dropped",
            help: "Calls whose spans were lost, because their collector could not be reached or kept up with",
        };
        out.counter(&traces, readings.dropped_traces)?;
        let usage = Heading { name: "usage_pending_requests", help: "Calls whose usage is not in the store yet" };
        out.gauge(&usage, readings.pending_usage)
    }
}
