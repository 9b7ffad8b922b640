//! Tells the log of what was lost, now and then.
//!
//! A receiver that is down loses every batch, and a queue that is full loses every call; a line for each would bury the log.

use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::DeliveryError;

/// Between two lines.
const INTERVAL: Duration = Duration::from_mins(1);

/// What was lost and has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: Option<Instant>,
    /// How much of what was dropped has been told.
    told: u64,
    /// Why the last batch was lost, if one was.
    reason: Option<DeliveryError>,
    rejected_spans: u64,
}

impl Journal {
    /// Notes why a batch was lost.
    pub(crate) fn note_failure(&mut self, reason: DeliveryError) {
        self.reason = Some(reason);
    }

    /// Notes spans that a receiver found fault with.
    pub(crate) fn note_rejected(&mut self, spans: u64) {
        self.rejected_spans += spans;
    }

    /// Writes a line if there is something to tell and none was written in the last minute. `dropped` calls are lost in all.
    pub(crate) fn tell(&mut self, dropped: u64, now: Instant) {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL) {
            self.tell_all(dropped, now);
        }
    }

    /// Writes a line if there is something to tell.
    pub(crate) fn tell_all(&mut self, dropped: u64, now: Instant) {
        let calls = dropped - self.told;
        if calls == 0 && self.rejected_spans == 0 {
            return;
        }
        // A full queue is what is left if no batch was lost.
        let reason = self.reason.take().map(tracing::field::display);
        let rejected_spans = self.rejected_spans;
        tracing::warn!(calls, rejected_spans, reason, "traces of calls were lost; check the receiver and its limits");
        *self = Self { last: Some(now), told: dropped, reason: None, rejected_spans: 0 };
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use gateway_upstream::UpstreamErrorKind;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `journal` writes, a line each.
    fn written(journal: impl FnOnce(&mut Journal, Instant)) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || journal(&mut Journal::default(), Instant::now()));
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_minute_has_one_line_and_nothing_is_left_out() {
        let lines = written(|journal, now| {
            journal.tell(0, now);
            journal.note_failure(DeliveryError::Unanswered(UpstreamErrorKind::Connect));
            journal.tell(5, now);
            journal.tell(9, now + Duration::from_secs(59));
            journal.tell(12, now + INTERVAL);
            journal.tell(12, now + INTERVAL * 2);
            journal.tell_all(13, now + INTERVAL);
        });
        let [first, second, last] = &lines[..] else { panic!("{lines:?}") };
        assert!(first.contains("calls=5 ") && first.contains("no connection"), "{first}");
        assert!(second.contains("calls=7 ") && !second.contains("reason"), "{second}");
        assert!(last.contains("calls=1 "), "{last}");
    }

    #[test]
    fn spans_that_are_not_wanted_are_told_of_without_a_loss() {
        let lines = written(|journal, now| {
            journal.note_rejected(3);
            journal.tell(0, now);
        });
        assert!(lines[0].contains("rejected_spans=3"), "{lines:?}");
    }
}
