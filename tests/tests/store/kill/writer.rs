//! An administrator who makes, changes, rotates and ends keys as fast as it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_tests::administrator::{Administrator, KEYS, one};
use gateway_tests::site::Node;
use serde_json::{Value, json};

use super::account::{Account, Action, fields};

/// How many keys a writer has at most: few, so that each is changed often.
const MOST_KEYS: usize = 12;

/// Requests of all writers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Arc<[AtomicU64; 2]>);

pub(crate) struct Writer {
    name: usize,
    random: fastrand::Rng,
    accounts: Vec<Account>,
    /// Writes that were made, as far as anybody knows.
    pub(crate) done: usize,
    /// Writes that were not acknowledged.
    pub(crate) doubtful: usize,
}

impl Traffic {
    pub(crate) fn answered(&self) -> u64 {
        self.0[1].load(Ordering::Acquire)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let answered = self.answered();
        self.0[0].load(Ordering::Acquire).saturating_sub(answered)
    }
}

impl Writer {
    pub(crate) fn new(name: usize, random: fastrand::Rng) -> Self {
        Self { name, random, accounts: Vec::new(), done: 0, doubtful: 0 }
    }

    /// How many of its keys there are.
    pub(crate) fn present(&self) -> usize {
        self.accounts.iter().filter(|account| account.is_present).count()
    }

    /// Writes until there is no answer any more.
    pub(crate) async fn write_until_killed(mut self, admin: Administrator, traffic: Traffic) -> Self {
        loop {
            let (index, action) = self.next();
            let account = &mut self.accounts[index];
            account.pending = Some(action);
            let (method, path, body) = request(&account.id, action);
            traffic.0[0].fetch_add(1, Ordering::AcqRel);
            let Ok(answer) = admin.try_send(method, &path, &body).await else {
                self.doubtful += 1;
                return self;
            };
            traffic.0[1].fetch_add(1, Ordering::AcqRel);
            if answer.status == 503 {
                // Not of the gateway's own making, on a machine that is busy. It may have been done all the same.
                self.doubtful += 1;
                continue;
            }
            assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
            let told = match action {
                Action::Create | Action::Rotate(_) => answer.json()["key"].as_str().map(str::to_owned),
                Action::Change(_) | Action::Remove => None,
            };
            account.note(action, told);
            self.done += 1;
        }
    }

    /// Finds out what became of the last write of each key.
    pub(crate) async fn settle_accounts(&mut self, node: &Node) {
        for account in &mut self.accounts {
            self.done += usize::from(account.settle(node).await);
        }
    }

    /// Panics unless every key is what it was acknowledged to be.
    pub(crate) async fn check_all(&self, node: &Node) {
        for account in &self.accounts {
            account.check(node).await;
        }
    }

    fn next(&mut self) -> (usize, Action) {
        let is_known = |account: &Account| account.is_present && account.pending.is_none();
        let present: Vec<_> = (0..self.accounts.len()).filter(|index| is_known(&self.accounts[*index])).collect();
        let roll = self.random.u8(0..10);
        if present.is_empty() || (roll < 3 && present.len() < MOST_KEYS) {
            self.accounts.push(Account::new(format!("w{}-{}", self.name, self.accounts.len())));
            return (self.accounts.len() - 1, Action::Create);
        }
        let index = present[self.random.usize(..present.len())];
        let account = &self.accounts[index];
        let action = match roll {
            0..7 => Action::Change(account.number + 1),
            // What became of a rotation is seen by the key, so it has to be known.
            7..9 if account.key.is_some() => {
                // There is a place for one key before the present one.
                let has_room = account.previous.is_none();
                Action::Rotate(if has_room && self.random.bool() { 3600 } else { 0 })
            }
            _ => Action::Remove,
        };
        (index, action)
    }
}

fn request(id: &str, action: Action) -> (&'static str, String, Value) {
    match action {
        Action::Create => {
            let mut body = fields(0);
            body["id"] = json!(id);
            ("POST", KEYS.to_owned(), body)
        }
        Action::Change(number) => ("PATCH", one(id), fields(number)),
        Action::Rotate(overlap) => ("POST", one(id) + "/rotate", json!({ "overlap_secs": overlap })),
        Action::Remove => ("DELETE", one(id), Value::Null),
    }
}
