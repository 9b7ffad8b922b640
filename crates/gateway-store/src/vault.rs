//! What secrets are sealed with before they are written down.
//!
//! AES-256-GCM with nonces of 96 random bits. NIST SP 800-38D, section 8.3, allows 2^32 messages under one key with such
//! nonces, so that two of them are the same with a probability below 2^-32. A message is a change of one provider or model
//! on one node: a thousand changes each day on each of a hundred nodes come to 2^32 in over a hundred years.
//!
//! Kind and name of the entry are the associated data, so that what is sealed opens nowhere but where it was put: somebody
//! who may write to the database, and does not have the key, cannot let one provider's credentials go to another's address
//! by copying them from row to row.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use gateway_keystore::SettingsKind;
use gateway_secret::Secret;
use zeroize::Zeroizing;

use crate::OpenError;
use crate::hex::unhex;

/// What a sealed text begins with. What is sealed are JSON objects, which begin with another character.
const SEALED: &str = "sealed:v1:";
/// How long a key is, in bytes.
const KEY_LENGTH: usize = 32;

/// Keys that secrets are sealed with: the first of them seals, each of them opens.
///
/// To replace a key, put the new one before it, and leave it there until everything has been written anew. The library that
/// holds the keys wipes them from memory when this is dropped.
pub struct Vault {
    ring: Vec<RandomizedNonceKey>,
}

/// What a secret belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) kind: SettingsKind,
    pub(crate) name: &'a str,
}

/// What is done with secrets that are written down: they are sealed, or, without a vault, stay as they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealing(Option<Arc<Vault>>);

/// The system has no random numbers, or the text is longer than any that can be sealed.
#[derive(Debug, thiserror::Error)]
#[error("the secrets cannot be sealed")]
pub(crate) struct CannotSeal;

impl Vault {
    /// A vault of these keys, separated by commas: 32 bytes each, as 64 hexadecimal digits or in base64.
    ///
    /// # Errors
    ///
    /// Says which of them is none and how to make one, and repeats nothing of it.
    pub fn new(keys: &Secret) -> Result<Self, OpenError> {
        let ring = keys.expose().split(',').map(str::trim).enumerate();
        let ring = ring.map(|(index, text)| {
            let key = key(text).and_then(|key| RandomizedNonceKey::new(&AES_256_GCM, &key[..]).ok());
            key.ok_or_else(|| OpenError {
                problem: format!(
                    "key {} of STORE_ENCRYPTION_KEY is not 32 bytes, in hexadecimal or base64; `openssl rand -hex 32` makes one",
                    index + 1
                ),
            })
        });
        Ok(Self { ring: ring.collect::<Result<_, _>>()? })
    }

    fn seal(&self, place: Place<'_>, text: &str) -> Result<String, CannotSeal> {
        // What is in there is sealed in place, so nothing is left of the text.
        let mut sealed = Vec::with_capacity(text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(text.as_bytes());
        let newest = self.ring.first().ok_or(CannotSeal)?;
        let nonce = newest.seal_in_place_append_tag(place.associated_data(), &mut sealed).map_err(|_| CannotSeal)?;
        Ok(format!("{SEALED}{}", STANDARD.encode([&nonce.as_ref()[..], &sealed].concat())))
    }

    /// What was sealed, and the number of the key that opens it.
    fn open(&self, place: Place<'_>, sealed: &str) -> Option<(Secret, usize)> {
        let bytes = STANDARD.decode(sealed.strip_prefix(SEALED)?).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.ring.iter().enumerate().find_map(|(number, key)| {
            // A key that does not fit leaves nonsense behind.
            let mut sealed = Zeroizing::new(sealed.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let text = key.open_in_place(nonce, place.associated_data(), &mut sealed).ok()?;
            Some((Secret::from(str::from_utf8(text).ok()?), number))
        })
    }
}

impl Place<'_> {
    fn associated_data(self) -> Aad<String> {
        Aad::from(format!("{}/{}", self.kind, self.name))
    }
}

impl Sealing {
    pub(crate) fn new(vault: Option<Arc<Vault>>) -> Self {
        Self(vault)
    }

    pub(crate) fn vault(&self) -> Option<Arc<Vault>> {
        self.0.clone()
    }

    /// A secret as it is written down.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<String, CannotSeal> {
        match &self.0 {
            None => Ok(secret.expose().to_owned()),
            Some(vault) => vault.seal(place, secret.expose()),
        }
    }

    /// What was written down. What is not sealed, because somebody has written it by hand or there was no key yet, is as it
    /// is. An error is a sentence for people.
    pub(crate) fn open(&self, place: Place<'_>, written: &str) -> Result<Secret, String> {
        if !written.starts_with(SEALED) {
            return Ok(Secret::from(written));
        }
        let Some(vault) = &self.0 else {
            return Err("is sealed, and there is no STORE_ENCRYPTION_KEY to open it".to_owned());
        };
        let opened = vault.open(place, written).map(|(secret, _)| secret);
        opened.ok_or_else(|| {
            "is sealed with a key that STORE_ENCRYPTION_KEY does not have, or for another entry".to_owned()
        })
    }

    /// Whether this is how the secret would be written down today.
    pub(crate) fn is_written(&self, place: Place<'_>, secret: &Secret, written: &str) -> bool {
        match &self.0 {
            None => secret.expose() == written,
            Some(vault) => {
                matches!(vault.open(place, written), Some((opened, 0)) if opened == *secret)
            }
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

fn key(text: &str) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
    let of_length = |bytes: Zeroizing<Vec<u8>>| bytes.as_slice().try_into().ok().map(Zeroizing::new);
    // No text is both: of 64 characters, base64 makes 48 bytes.
    let hex = unhex(text).map(Zeroizing::new).and_then(of_length);
    hex.or_else(|| {
        let mut alphabets = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].into_iter();
        alphabets.find_map(|alphabet| of_length(Zeroizing::new(alphabet.decode(text).ok()?)))
    })
}

#[cfg(test)]
mod tests;
