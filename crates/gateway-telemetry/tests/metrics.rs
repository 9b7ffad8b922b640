//! What the exposition says after what calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "metrics/exposed.rs"]
mod exposed;
#[path = "metrics/names.rs"]
mod names;
#[path = "metrics/promtool.rs"]
mod promtool;
#[path = "metrics/script.rs"]
mod script;

use std::thread;

use gateway_call::Label;
use gateway_telemetry::{Format, Metrics, Readings};
use script::settled;

#[test]
fn no_count_is_lost_between_threads() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 400;
    let metrics = Metrics::new();
    let [model, provider] = ["busy-model", "busy-provider"].map(Label::of);
    let keys: Vec<_> = (0..8).map(|number| Label::of(&format!("busy-{number}"))).collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0..CALLS {
                    let key = &keys[usize::try_from(number).unwrap() % keys.len()];
                    settled(key, &model, &provider).run(&metrics);
                    if number % 100 == 0 {
                        metrics.encode(Format::Text, &Readings::default());
                    }
                }
            });
        }
        // A name that comes and goes while others are counted.
        scope.spawn(|| {
            for _ in 0..CALLS {
                let key = Label::of("busy-guest");
                settled(&key, &model, &provider).run(&metrics);
            }
        });
    });
    let text = metrics.encode(Format::Text, &Readings::default());
    let all = THREADS * CALLS;
    for line in [
        r#"active_requests{endpoint="/v1/chat/completions"} 0"#.to_owned(),
        format!(r#"overhead_seconds_count{{endpoint="/v1/chat/completions"}} {}"#, all + CALLS),
        format!(r#"attempts_total{{provider="busy-provider",outcome="success"}} {}"#, all + CALLS),
        format!(r#"status_code="200",api_key_name="busy-7"}} {}"#, all / 8),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    let counts = text.lines().filter(|line| line.contains("requests_total{")).map(|line| line.rsplit(' ').next());
    assert_eq!(counts.map(|count| count.unwrap().parse::<u64>().unwrap()).sum::<u64>(), all);
}
