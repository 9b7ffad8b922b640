//! Calls whose instructions or allocations are counted: a gateway with everything that a server has, and its upstream, in one thread.

pub mod audience;
pub mod bodies;
pub mod scene;
pub mod upstream;
