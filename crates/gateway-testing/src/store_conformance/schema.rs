//! Tables are made, taken back and made again.

use super::{Subject, done, insert, key};

pub(super) async fn goes_down_and_up_again(subject: &impl Subject) {
    let backend = subject.backend();
    let known = backend.known_version();
    let version = async || done(backend.version().await);
    assert_eq!(version().await, known);
    assert_eq!(done(backend.migrate_up().await), known, "once more changes nothing");
    for expected in (0..known).rev() {
        assert_eq!(done(backend.migrate_down().await), expected);
        assert_eq!(version().await, expected);
    }
    assert_eq!(done(backend.migrate_down().await), 0, "there is nothing below nothing");
    assert!(backend.changes(None).await.is_err(), "without tables there is no answer");
    assert_eq!(done(backend.migrate_up().await), known);
    insert(&*backend, "key").await;
    key(&*backend, "key").await;
}
