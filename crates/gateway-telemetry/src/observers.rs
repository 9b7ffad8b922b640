//! Several observers as one.

use std::sync::Arc;

use gateway_call::{Event, Observer};

/// Tells every observer of a list, in its order.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_telemetry::{AccessLog, LogGuard, Metrics, Observers};
///
/// fn all(log: &LogGuard, metrics: &Arc<Metrics>) -> Observers {
///     Observers::new([Arc::new(AccessLog::new(log)) as _, Arc::clone(metrics) as _])
/// }
/// ```
pub struct Observers(Box<[Arc<dyn Observer>]>);

impl Observers {
    /// These observers.
    pub fn new(observers: impl IntoIterator<Item = Arc<dyn Observer>>) -> Self {
        Self(observers.into_iter().collect())
    }
}

impl Observer for Observers {
    fn on_event(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.on_event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    struct Scribe(char, Arc<Mutex<String>>);

    impl Observer for Scribe {
        fn on_event(&self, _: &Event<'_>) {
            self.1.lock().push(self.0);
        }
    }

    #[test]
    fn observers_are_told_in_order() {
        let book = Arc::new(Mutex::new(String::new()));
        let scribes = ['a', 'b', 'c'].map(|name| Arc::new(Scribe(name, Arc::clone(&book))) as Arc<dyn Observer>);
        let observers = Observers::new(scribes);
        observers.on_event(&Event::Arrived { path: "/" });
        observers.on_event(&Event::Arrived { path: "/" });
        assert_eq!(*book.lock(), "abcabc");
    }
}
