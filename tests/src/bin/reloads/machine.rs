//! Who had the machine meanwhile (`man 5 proc`). What the system does not tell is none.

use std::fs;

use tokio::time::Instant;

/// In what the kernel counts time, in a second: `USER_HZ`, which is the same on every Linux.
const TICKS: f64 = 100.0;

/// The processor time that was used until some moment, in seconds.
#[derive(Debug)]
pub(crate) struct Usage {
    at: Instant,
    /// By the gateway.
    gateway: Option<f64>,
    /// By this process: the callers and the upstream.
    own: Option<f64>,
    /// By everything on the machine.
    all: Option<f64>,
    /// By other machines on the same hardware, when this one would have had work to do.
    stolen: Option<f64>,
}

/// How many cores were in use on average.
#[derive(Debug)]
pub(crate) struct Cores {
    pub(crate) gateway: Option<f64>,
    pub(crate) own: Option<f64>,
    /// By whatever else runs here.
    pub(crate) others: Option<f64>,
    pub(crate) stolen: Option<f64>,
}

impl Usage {
    /// What was used so far, `gateway` being the id of its process.
    pub(crate) fn now(gateway: u32) -> Self {
        let machine = machine_time();
        Self {
            at: Instant::now(),
            gateway: process_time(&gateway.to_string()),
            own: process_time("self"),
            all: machine.map(|(all, _)| all),
            stolen: machine.map(|(_, stolen)| stolen),
        }
    }

    pub(crate) fn since(&self, before: &Self) -> Cores {
        let seconds = (self.at - before.at).as_secs_f64();
        let cores = |after: Option<f64>, before: Option<f64>| Some((after? - before?) / seconds);
        let (gateway, own) = (cores(self.gateway, before.gateway), cores(self.own, before.own));
        let all = cores(self.all, before.all);
        let others = all.zip(gateway).zip(own).map(|((all, gateway), own)| (all - gateway - own).max(0.0));
        Cores { gateway, own, others, stolen: cores(self.stolen, before.stolen) }
    }
}

/// The time that a process used, in seconds.
fn process_time(process: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, the name, is in parentheses and may hold spaces; times are the 14th and 15th.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The time that all processes used and the time that was stolen, in seconds.
fn machine_time() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Option<Vec<f64>> = text.lines().next()?.split_whitespace().skip(1).map(|it| it.parse().ok()).collect();
    // Of user, nice, system, idle, iowait, irq, softirq and steal, idle and iowait are no use.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks?[..] else { return None };
    Some(((user + nice + system + irq + softirq) / TICKS, steal / TICKS))
}
