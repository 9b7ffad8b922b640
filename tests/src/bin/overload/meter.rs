//! What the drill costs: the gateway's memory, and the processor time of both sides.

use std::fs;

use gateway_testing::GatewayProcess;
use tokio::time::{Instant, sleep_until};

use crate::course::Course;

/// In what the kernel counts a process's time, in a second: `USER_HZ`, which is the same on every Linux (`man 5 proc`).
const TICKS: f64 = 100.0;

/// What was seen of the processes. What the system does not tell is none.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The gateway's resident memory, in bytes: when the drill began, when the overload did, in its middle, when it ended, and when
    /// the drill did.
    pub(crate) memory: [Option<u64>; 5],
    /// How much of one core the gateway had during the overload.
    pub(crate) gateway_cores: Option<f64>,
    /// The same of this process: the callers, and the upstream.
    pub(crate) own_cores: Option<f64>,
}

impl Meter {
    /// Watches until the drill is over.
    pub(crate) async fn watch(gateway: &GatewayProcess, course: &Course, began: Instant) -> Self {
        let (begins, ends) = (course.overload.begins, course.overload.ends);
        let (process, own) = (gateway.id().to_string(), "self");
        let start = gateway.resident_memory();
        sleep_until(began + begins).await;
        let first = gateway.resident_memory();
        let before = [cpu_time(&process), cpu_time(own)];
        sleep_until(began + (begins + ends) / 2).await;
        let middle = gateway.resident_memory();
        sleep_until(began + ends).await;
        let after = [cpu_time(&process), cpu_time(own)];
        let last = gateway.resident_memory();
        let cores = |side: usize| Some((after[side]? - before[side]?) / course.overload.seconds());
        sleep_until(began + course.lasts()).await;
        let memory = [start, first, middle, last, gateway.resident_memory()];
        Self { memory, gateway_cores: cores(0), own_cores: cores(1) }
    }

    /// How much the gateway grew in the second half of the overload, in bytes: by then everything that is needed is there.
    pub(crate) fn growth(&self) -> Option<u64> {
        let [_, _, middle, end, _] = self.memory;
        Some(end?.saturating_sub(middle?))
    }

    /// The memory at the beginning and at the end of each phase of the course, in its order.
    pub(crate) fn memory_of_phases(&self) -> [[Option<u64>; 2]; 3] {
        let [start, begin, _, end, last] = self.memory;
        [[start, begin], [begin, end], [end, last]]
    }
}

/// The processor time of a process so far, in seconds.
fn cpu_time(process: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, the name, is in parentheses and may hold spaces; times are the 14th and 15th.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}
