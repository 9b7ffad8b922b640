//! Usage accounting: from settled calls to rows of the store, off the path of calls.
//!
//! [`UsageBook`] adds up in memory what calls took, and [`UsageWriter`] brings that into the store every few seconds. Neither
//! waits for the other: while the store does not answer, sums are kept, and written once it does. What was counted is written
//! exactly once for as long as the process lives, whatever becomes of the connection in between, because a batch whose outcome
//! is not known is given again as it was, and the store knows those that it has. What a process that is killed had not written
//! is lost.

mod book;
mod others;
mod pending;
mod writer;

pub use book::UsageBook;
pub use writer::UsageWriter;
