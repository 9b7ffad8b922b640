//! A look at the memory of the measured processes, every so often while calls run.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::Activity;
use crate::kernel::Group;

const EVERY: Duration = Duration::from_millis(50);

/// Resident bytes, each with how many connections had a call.
#[derive(Default)]
pub(super) struct Watch(RefCell<Vec<(usize, u64)>>);

impl Watch {
    /// Looks until it is dropped.
    pub(super) async fn keep(&self, group: &Group, activity: &Activity) {
        loop {
            if let Ok(resident) = group.resident() {
                self.0.borrow_mut().push((activity.calling.now(), resident));
            }
            sleep(EVERY).await;
        }
    }

    /// The median while at least 95 % of so many connections had a call; `None` if they never had.
    pub(super) fn middle(&self, connections: usize) -> Option<u64> {
        let looks = self.0.borrow();
        let mut full: Vec<_> =
            looks.iter().filter(|(calling, _)| calling * 100 >= connections * 95).map(|(_, it)| *it).collect();
        full.sort_unstable();
        full.get(full.len() / 2).copied()
    }

    pub(super) fn peak(&self) -> u64 {
        self.0.borrow().iter().map(|(_, resident)| *resident).max().unwrap_or_default()
    }
}
