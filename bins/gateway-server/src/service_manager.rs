//! What the process tells systemd of itself (`sd_notify(3)`), if that is who has started it; nobody is told otherwise.

use std::io;

use sd_notify::NotifyState;

/// It serves, on the configuration that it has.
pub(crate) fn ready() {
    note(sd_notify::notify(&[NotifyState::Ready]));
}

/// It reads its configuration again; [`ready`] follows.
pub(crate) fn reloading() {
    note(NotifyState::monotonic_usec_now().and_then(|since| sd_notify::notify(&[NotifyState::Reloading, since])));
}

/// It ends once its calls are over.
pub(crate) fn stopping() {
    note(sd_notify::notify(&[NotifyState::Stopping]));
}

/// The gateway serves, whether systemd hears of it or not.
fn note(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told how the process is");
    }
}
