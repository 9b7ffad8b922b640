//! Which models of a provider report what their streams take.
//!
//! OpenAI and most who speak its protocol do if `stream_options.include_usage` asks for it; some, Mistral for one, refuse a request
//! that has the member. Nothing in a configuration tells one from the other, so all are asked, and what refuses the question but
//! takes the same request without it is not asked again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_call::ModelName;
use parking_lot::Mutex;

/// How many models of one provider are remembered. Callers may name any number of them; one that is not remembered costs a request
/// more a call.
const MAX_SILENT: usize = 1024;

/// What is known of one provider's models, for as long as it stays at its address.
#[derive(Debug, Default)]
pub(crate) struct UsageReports {
    /// Whether there is any at all below, so that nobody takes the lock of a provider that reports.
    has_silent: AtomicBool,
    silent: Mutex<HashSet<ModelName>>,
}

impl UsageReports {
    /// Whether a model may be asked, by its upstream name.
    pub(crate) fn can_ask(&self, model: &ModelName) -> bool {
        !self.has_silent.load(Ordering::Relaxed) || !self.silent.lock().contains(model)
    }

    /// Notes that a model refuses the question. Returns whether that is news.
    pub(crate) fn note_silent(&self, model: &ModelName) -> bool {
        let mut silent = self.silent.lock();
        let is_news = silent.len() < MAX_SILENT && silent.insert(model.clone());
        self.has_silent.store(true, Ordering::Relaxed);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_the_question_is_not_asked_again_and_all_others_are() {
        let (reports, [silent, other]) = (UsageReports::default(), ["mistral-small", "gpt-4o"].map(ModelName::from));
        assert!(reports.can_ask(&silent) && reports.can_ask(&other));
        assert!(reports.note_silent(&silent) && !reports.note_silent(&silent), "news once");
        assert!(!reports.can_ask(&silent) && reports.can_ask(&other));
    }

    #[test]
    fn names_that_callers_make_up_take_no_more_than_so_much_memory() {
        let reports = UsageReports::default();
        let all: Vec<_> = (0..MAX_SILENT + 10).map(|number| ModelName::from(&*format!("m-{number}"))).collect();
        assert_eq!(all.iter().filter(|model| reports.note_silent(model)).count(), MAX_SILENT);
        assert!(reports.can_ask(&all[MAX_SILENT]));
    }
}
