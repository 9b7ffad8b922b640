//! Calls that end at each of the steps.
//!
//! Each goes as far as the one before and a step further, so what a step takes is the difference.

use gateway_tests::counted::audience::{Audience, Told};
use gateway_tests::counted::scene::{Ask, Call, Form, Scene};
use tokio::runtime::Builder;

use crate::run::{Row, end_of_part};

/// A call and what comes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    times: u32,
    ask: Ask,
    status: u16,
    /// How many frames fewer there are than in the stream before, if one of those is meant.
    fewer: Option<u32>,
}

/// Those that the steps' figures come from.
pub(crate) const ALL: &[Kind] = &[
    refused("404, no such path (accept)", Ask { path: "/v1/nothing", ..Ask::PLAIN }, 404),
    refused("401, no such key (authenticate)", Ask { key: "sk-nobodys", ..Ask::PLAIN }, 401),
    refused("429, limit used up (the look)", Ask { key: "sk-spent-0123456789abcdef", ..Ask::PLAIN }, 429),
    refused("400, malformed body (ingest)", Ask { form: Form::Malformed, ..Ask::PLAIN }, 400),
    refused("403, model not allowed (admit)", Ask { key: "sk-narrow-0123456789abcdef", ..Ask::PLAIN }, 403),
    refused("404, no such model (plan)", Ask { model: "gpt-5-nano", ..Ask::PLAIN }, 404),
    PLAIN,
    Kind { name: "fallback behind two failures", times: 100, ask: Ask { model: "gpt-4o", ..Ask::PLAIN }, ..PLAIN },
    STREAM,
    Kind { fewer: Some(32), ..stream("a frame among others", "together-32", Form::Streamed) },
    stream("stream of 64 frames, one by one", "alone-64", Form::OneByOne),
    Kind { fewer: Some(32), ..stream("a frame by itself", "alone-32", Form::OneByOne) },
];

/// Those that differ by who is told.
pub(crate) const WHOLE: &[Kind] = &[PLAIN, STREAM];

const PLAIN: Kind = Kind { name: "plain call", times: 400, ask: Ask::PLAIN, status: 200, fewer: None };

const STREAM: Kind = stream("stream of 64 frames", "together-64", Form::Streamed);

const fn refused(name: &'static str, ask: Ask, status: u16) -> Kind {
    Kind { name, times: 800, ask, status, fewer: None }
}

const fn stream(name: &'static str, model: &'static str, form: Form) -> Kind {
    Kind { name, times: 60, ask: Ask { model, form, ..Ask::PLAIN }, status: 200, fewer: None }
}

/// The rows of these, which say who is told.
pub(crate) fn rows(kinds: &[Kind], audience: &str) -> Vec<Row> {
    let row =
        |kind: &Kind| Row { fewer: kind.fewer, ..Row::new(format!("calls: {}{audience}", kind.name), kind.times) };
    kinds.iter().map(row).collect()
}

/// Makes calls of every kind, one after the other, in this thread.
pub(crate) fn count(rows: &[Row], kinds: &[Kind], told: Told, receiver: &str) {
    let audience = Audience::of(told, receiver);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let scene = Scene::start(&audience).await;
        for (row, kind) in rows.iter().zip(kinds) {
            let call = Call::new(kind.ask);
            for _ in 0..row.warm_up() {
                scene.make(&call).await;
            }
            end_of_part();
            for _ in 0..row.times {
                assert_eq!(scene.make(&call).await, kind.status, "{}", kind.name);
            }
            end_of_part();
        }
    });
    audience.dismiss();
}
