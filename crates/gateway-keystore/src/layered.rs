//! Several key stores, asked in order.

use std::sync::Arc;

use gateway_extension::Answer;
use gateway_secret::KeyDigest;

use crate::{KeyStore, KeyStoreError, VirtualKey};

type Found = Result<Option<Arc<VirtualKey>>, KeyStoreError>;

/// Asks key stores one after the other; the first that knows the key answers for all.
///
/// A key is unknown only if every store says so. One that cannot say is passed over, for the key may be in the next one;
/// if it is in none, nobody can say.
#[derive(Debug, Clone, Default)]
pub struct LayeredKeyStore {
    stores: Vec<Arc<dyn KeyStore>>,
}

impl LayeredKeyStore {
    /// Asks these stores, in this order.
    pub fn new(stores: Vec<Arc<dyn KeyStore>>) -> Self {
        Self { stores }
    }
}

impl KeyStore for LayeredKeyStore {
    fn find<'a>(&'a self, digest: &KeyDigest) -> Answer<'a, Found> {
        let mut so_far = Ok(None);
        for (index, store) in self.stores.iter().enumerate() {
            match store.find(digest) {
                Answer::Now(Some(found)) => so_far = merge(so_far, found),
                // An answer that was taken already, which is none.
                Answer::Now(None) => {}
                Answer::Later(found) => {
                    let (digest, rest) = (*digest, &self.stores[index + 1..]);
                    return Answer::later(async move { ask_all(rest, &digest, merge(so_far, found.await)).await });
                }
            }
            if matches!(so_far, Ok(Some(_))) {
                break;
            }
        }
        Answer::now(so_far)
    }
}

async fn ask_all(stores: &[Arc<dyn KeyStore>], digest: &KeyDigest, mut so_far: Found) -> Found {
    for store in stores {
        if matches!(so_far, Ok(Some(_))) {
            break;
        }
        so_far = merge(so_far, store.find(digest).await);
    }
    so_far
}

/// A key beats an error, the first error beats the others, and any error beats "unknown".
fn merge(so_far: Found, next: Found) -> Found {
    match (so_far, next) {
        (_, Ok(Some(key))) => Ok(Some(key)),
        (Err(error), _) => Err(error),
        (_, next) => next,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Knows every key under its own name, none, or cannot say; at once or later.
    #[derive(Debug, Clone, Copy)]
    enum Fixed {
        Knows(&'static str),
        KnowsNone,
        CannotSay,
    }

    #[derive(Debug)]
    struct Store(Fixed, bool);

    impl KeyStore for Store {
        fn find<'a>(&'a self, _: &KeyDigest) -> Answer<'a, Found> {
            let found = match self.0 {
                Fixed::Knows(name) => Ok(Some(Arc::new(VirtualKey::unlimited(name)))),
                Fixed::KnowsNone => Ok(None),
                Fixed::CannotSay => Err(KeyStoreError::Unavailable { source: "down".into() }),
            };
            if self.1 { Answer::later(async { found }) } else { Answer::now(found) }
        }
    }

    fn found(stores: &[Store]) -> Result<Option<String>, ()> {
        let stores = stores.iter().map(|store| Arc::new(Store(store.0, store.1)) as Arc<dyn KeyStore>).collect();
        let layered = LayeredKeyStore::new(stores);
        let answer = pin!(layered.find(&KeyDigest::of(b"key")));
        match answer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => found.map(|key| key.map(|key| key.name.to_string())).map_err(drop),
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    #[test]
    fn the_first_that_knows_answers_and_doubt_beats_denial() {
        use Fixed::{CannotSay, Knows, KnowsNone};
        for (stores, expected) in [
            (vec![], Ok(None)),
            (vec![Knows("a"), Knows("b")], Ok(Some("a"))),
            (vec![KnowsNone, Knows("b")], Ok(Some("b"))),
            (vec![CannotSay, Knows("b")], Ok(Some("b"))),
            (vec![Knows("a"), CannotSay], Ok(Some("a"))),
            (vec![KnowsNone, CannotSay], Err(())),
            (vec![CannotSay, KnowsNone], Err(())),
            (vec![KnowsNone, KnowsNone], Ok(None)),
        ] {
            // Which of them take their time makes no difference.
            for slow in 0..1_u8 << stores.len() {
                let stores: Vec<_> =
                    stores.iter().enumerate().map(|(index, it)| Store(*it, slow & (1 << index) != 0)).collect();
                assert_eq!(found(&stores), expected.map(|name: Option<&str>| name.map(str::to_owned)), "{stores:?}");
            }
        }
    }
}
