//! Reading from a socket into memory that all connections of a process share, so that an open stream holds none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

/// What one read takes at most.
const ROOM: usize = 256 << 10;

/// The memory that one read fills, for all connections of a thread.
#[derive(Clone)]
pub(crate) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![0; ROOM].into_boxed_slice())))
    }

    /// Reads once and looks at what came, before anybody else reads; nothing means the end of the connection.
    pub(crate) async fn read<T>(&self, stream: &mut TcpStream, mut look: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|cx| {
            let mut room = self.0.borrow_mut();
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            Poll::Ready(Ok(look(read.filled())))
        })
        .await
    }
}
