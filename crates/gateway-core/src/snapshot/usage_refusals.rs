//! Which models of a provider refuse to be asked what their streams take.
//!
//! OpenAI and most who speak its protocol report that if `stream_options.include_usage` asks for it; some, Mistral for one, refuse a
//! request that has the member. Nothing in a configuration tells one from the other, so all are asked. What refuses the question
//! several times in a row, and takes the same request without it each time, is left alone for a while. Once would not do: upstreams
//! quote their callers, and none of these may keep the others from being counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_call::ModelName;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::clock;

/// How many refusals without a report between them are believed.
const ENOUGH: u8 = 3;

/// How long a model is left alone. It is asked again then, and one more refusal is believed.
const WHILE: Duration = Duration::from_hours(1);

/// How many models of one provider are remembered, those that refused last. Callers may name any number of them; one that is not
/// remembered costs a request more a call.
const MOST: usize = 1024;

/// What is known of one provider's models, for as long as it stays at its address.
#[derive(Debug, Default)]
pub(crate) struct UsageRefusals {
    /// Whether there is any at all below, so that nobody takes the lock of a provider that reports.
    has_any: AtomicBool,
    by_model: Mutex<HashMap<ModelName, Refusals>>,
}

#[derive(Debug, Clone, Copy)]
struct Refusals {
    in_a_row: u8,
    last: Instant,
}

impl Refusals {
    fn are_believed(self, now: Instant) -> bool {
        self.in_a_row >= ENOUGH && now.saturating_duration_since(self.last) < WHILE
    }
}

impl UsageRefusals {
    /// Whether a model may be asked, by its upstream name.
    pub(crate) fn can_ask(&self, model: &ModelName) -> bool {
        let is_believed = || self.by_model.lock().get(model).is_some_and(|it| it.are_believed(clock::now()));
        !self.has_any.load(Ordering::Relaxed) || !is_believed()
    }

    /// Notes that a model refuses the question. Returns whether it is left alone from now on.
    pub(crate) fn note_refusal(&self, model: &ModelName) -> bool {
        let mut by_model = self.by_model.lock();
        if by_model.len() >= MOST && !by_model.contains_key(model) {
            let oldest = by_model.iter().min_by_key(|(_, it)| it.last).map(|(model, _)| model.clone());
            oldest.map(|oldest| by_model.remove(&oldest));
        }
        let now = clock::now();
        let refusals = by_model.entry(model.clone()).or_insert(Refusals { in_a_row: 0, last: now });
        let was_believed = refusals.are_believed(now);
        *refusals = Refusals { in_a_row: refusals.in_a_row.saturating_add(1), last: now };
        self.has_any.store(true, Ordering::Relaxed);
        refusals.are_believed(now) && !was_believed
    }

    /// Notes that a model has taken the question.
    pub(crate) fn note_consent(&self, model: &ModelName) {
        if self.has_any.load(Ordering::Relaxed) {
            self.by_model.lock().remove(model);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_refuses_the_question_again_and_again_is_left_alone_for_a_while() {
        let (refusals, [silent, other]) = (UsageRefusals::default(), ["mistral-small", "gpt-4o"].map(ModelName::from));
        for is_news in [false, false, true, false] {
            assert_eq!(refusals.note_refusal(&silent), is_news);
        }
        assert!(!refusals.can_ask(&silent) && refusals.can_ask(&other));
        tokio::time::advance(WHILE).await;
        assert!(refusals.can_ask(&silent), "it may have learned");
        assert!(refusals.note_refusal(&silent) && !refusals.can_ask(&silent), "it has not");
    }

    #[tokio::test]
    async fn what_reports_in_between_is_asked_on() {
        let (refusals, model) = (UsageRefusals::default(), ModelName::from("gpt-4o"));
        for _ in 0..10 {
            refusals.note_refusal(&model);
            refusals.note_refusal(&model);
            refusals.note_consent(&model);
        }
        assert!(refusals.can_ask(&model));
    }

    #[tokio::test]
    async fn names_that_callers_make_up_take_no_more_than_so_much_memory() {
        let refusals = UsageRefusals::default();
        let all: Vec<_> = (0..MOST + 10).map(|number| ModelName::from(&*format!("m-{number}"))).collect();
        for model in &all {
            (0..ENOUGH).for_each(|_| _ = refusals.note_refusal(model));
        }
        assert_eq!(all.iter().filter(|model| !refusals.can_ask(model)).count(), MOST);
        assert!(refusals.can_ask(&all[0]) && !refusals.can_ask(&all[MOST]), "the last are remembered");
    }
}
