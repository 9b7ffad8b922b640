//! Which core does what.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity};

/// The cores that this process may use.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: Vec<usize>,
}

/// The cores of each part; none named is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) proxy: Vec<usize>,
    pub(crate) upstream: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Machine {
    pub(crate) fn look() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("the cores of this process")?;
        Ok(Self { cores: (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect() })
    }

    pub(crate) fn cores(&self) -> usize {
        self.cores.len()
    }

    /// The measured proxy has a core to itself; load and upstream share the next one, or have one each where there are three.
    pub(crate) fn apart(&self) -> Cores {
        match self.cores[..] {
            [proxy, upstream, load, ..] => Cores { proxy: vec![proxy], upstream: vec![upstream], load: vec![load] },
            [proxy, other] => Cores { proxy: vec![proxy], upstream: vec![other], load: vec![other] },
            _ => Cores::default(),
        }
    }

    /// Where the load runs when nothing is between it and the upstream: on the core of the absent proxy, unless it has its own.
    pub(crate) fn direct_load(&self) -> Vec<usize> {
        if self.cores.len() == 2 { self.apart().proxy } else { self.apart().load }
    }

    /// All on one core, so that a call's way is a chain of steps and nothing runs beside them.
    pub(crate) fn together(&self) -> Cores {
        let last: Vec<_> = self.cores.last().copied().into_iter().collect();
        Cores { proxy: last.clone(), upstream: last.clone(), load: last }
    }

    /// So many cores for the proxy, and one each for load and upstream; `None` where there are not enough.
    pub(crate) fn disjoint(&self, proxy: usize) -> Option<Cores> {
        let (proxy, others) = self.cores.split_at_checked(proxy)?;
        let [upstream, load, ..] = others else { return None };
        Some(Cores { proxy: proxy.into(), upstream: vec![*upstream], load: vec![*load] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cores: &[usize]) -> Machine {
        Machine { cores: cores.to_vec() }
    }

    fn cores(proxy: &[usize], upstream: usize, load: usize) -> Cores {
        Cores { proxy: proxy.to_vec(), upstream: vec![upstream], load: vec![load] }
    }

    #[test]
    fn the_proxy_is_alone_where_it_can_be() {
        assert_eq!(on(&[3]).apart(), Cores::default());
        assert_eq!(on(&[0, 1]).apart(), cores(&[0], 1, 1));
        assert_eq!(on(&[0, 1]).direct_load(), [0]);
        assert_eq!(on(&[0, 1, 2, 3]).apart(), cores(&[0], 1, 2));
        assert_eq!(on(&[0, 1, 2, 3]).direct_load(), [2]);
        assert_eq!(on(&[0, 1]).together(), cores(&[1], 1, 1));
    }

    #[test]
    fn two_workers_need_four_cores() {
        assert_eq!(on(&[0, 1, 2]).disjoint(2), None);
        assert_eq!(on(&[0, 1, 2, 3]).disjoint(2), Some(cores(&[0, 1], 2, 3)));
    }
}
