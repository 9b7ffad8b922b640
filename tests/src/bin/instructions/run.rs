//! What runs under callgrind: the rows of one process, one after the other.

use std::hint::black_box;

use clap::{Args, ValueEnum};

use crate::{calls, observers, scanners};
use gateway_tests::counted::audience::Told;

/// What is counted in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Run {
    Scanners,
    Calls,
    CallsNobodyTold,
    CallsTraced,
    Metrics,
    AccessLog,
    UsageBook,
    Traces,
    TracesUnsampled,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// How often what the row is about is done and counted.
    pub(crate) times: u32,
    /// How many there are of it each time.
    pub(crate) each: u32,
    /// If the row is about what the row before it has more: how many of that there are.
    pub(crate) fewer: Option<u32>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, times: u32) -> Self {
        Self { name: name.into(), times, each: 1, fewer: None }
    }

    /// How often it is done before: enough for connections to be opened, series to be made and buffers to have grown. Those of the
    /// log take a few hundred lines for it.
    pub(crate) fn warm_up(&self) -> u32 {
        self.times
    }
}

impl Run {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it counts, in order.
    pub(crate) fn rows(self) -> Vec<Row> {
        match self {
            Self::Scanners => scanners::rows(),
            Self::Calls => calls::rows(calls::ALL, ""),
            Self::CallsNobodyTold => calls::rows(calls::WHOLE, ", nobody told"),
            Self::CallsTraced => calls::rows(calls::WHOLE, ", traced too"),
            Self::Metrics => observers::rows("metrics"),
            Self::AccessLog => observers::rows("access log"),
            Self::UsageBook => observers::rows("usage book"),
            Self::Traces => observers::rows("traces, sampled"),
            Self::TracesUnsampled => observers::rows("traces, not sampled"),
        }
    }

    /// Whether an observer has more to do in a thread of its own.
    pub(crate) fn has_threads_behind(self) -> bool {
        matches!(self, Self::AccessLog | Self::Traces)
    }
}

/// One run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Measured {
    /// Which
    #[arg(value_enum)]
    pub(crate) run: Run,
    /// Where whoever takes spans listens
    pub(crate) receiver: String,
}

impl Measured {
    /// The command line of it.
    pub(crate) fn arguments(&self) -> [String; 3] {
        ["measured".to_owned(), self.run.name(), self.receiver.clone()]
    }

    /// Does all of it, and waits for what is left behind to be written and sent.
    pub(crate) fn carry_out(&self) {
        let rows = self.run.rows();
        let receiver = &*self.receiver;
        match self.run {
            Run::Scanners => scanners::count(&rows),
            Run::Calls => calls::count(&rows, calls::ALL, Told::all_but_traces(), receiver),
            Run::CallsNobodyTold => calls::count(&rows, calls::WHOLE, Told::default(), receiver),
            Run::CallsTraced => calls::count(&rows, calls::WHOLE, Told::all(), receiver),
            Run::Metrics => observers::count(&rows, Told { metrics: true, ..Told::default() }, receiver),
            Run::AccessLog => observers::count(&rows, Told { log: true, ..Told::default() }, receiver),
            Run::UsageBook => observers::count(&rows, Told { usage: true, ..Told::default() }, receiver),
            Run::Traces => observers::count(&rows, Told { traces: Some(true), ..Told::default() }, receiver),
            Run::TracesUnsampled => observers::count(&rows, Told { traces: Some(false), ..Told::default() }, receiver),
        }
    }
}

/// Does what a row is about, so that it is counted in a part of its own.
pub(crate) fn count(row: &Row, mut act: impl FnMut()) {
    (0..row.warm_up()).for_each(|_| act());
    end_of_part();
    (0..row.times).for_each(|_| act());
    end_of_part();
}

/// Where callgrind ends what it counts and begins anew. It knows the place by this function's name.
#[inline(never)]
pub(crate) fn end_of_part() {
    black_box(());
}
