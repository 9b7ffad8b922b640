//! What runs under callgrind: so many calls, told to one observer or made through the gateway.

use std::hint::black_box;

use clap::{Args, ValueEnum};
use gateway_core::call::{Event, Observer};

use crate::audience::{Audience, Told};
use crate::script::{Script, Scripted};
use crate::whole;

/// One run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Measured {
    /// Who is told
    #[arg(value_enum)]
    pub(crate) told: Told,
    /// Of which calls
    #[arg(value_enum)]
    pub(crate) script: Script,
    /// How many there are
    pub(crate) calls: u32,
    /// Where the upstream listens, and whoever takes spans
    pub(crate) upstream: String,
    /// Whether the calls' traces are recorded
    #[arg(long = "sampled")]
    pub(crate) is_sampled: bool,
    /// Whether the gateway makes the calls, rather than that observers are told of calls that nobody made
    #[arg(long = "whole")]
    pub(crate) is_whole: bool,
}

impl Measured {
    /// The command line of it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|it| it.get_name().to_owned());
        let flags = [(self.is_sampled, "--sampled"), (self.is_whole, "--whole")];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.to_owned());
        let names = [name(self.told.to_possible_value()), name(self.script.to_possible_value())];
        let values = [self.calls.to_string(), self.upstream.clone()];
        ["measured".to_owned()].into_iter().chain(names.into_iter().flatten()).chain(values).chain(flags).collect()
    }

    /// Makes the calls, and waits for what they left behind to be written and sent.
    pub(crate) fn run(&self) {
        let audience = Audience::of(self.told, self.is_sampled, &self.upstream);
        if self.is_whole {
            whole::make(self, &audience);
        } else {
            self.tell(&*audience.observer);
        }
        audience.dismiss();
    }

    fn tell(&self, observer: &dyn Observer) {
        let scripted = Scripted::new(self.script, self.is_sampled);
        let record = scripted.record();
        for _ in 0..self.calls {
            observer.on_event(black_box(&Event::Arrived { path: record.path }));
            observer.on_event(black_box(&Event::Settled(&record)));
        }
    }
}
