#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{HANDOVER, drop_syn};

#[tokio::test]
async fn what_has_begun_is_completed_and_nothing_else_begins() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let socket = TcpListener::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        socket2::SockRef::from(&socket).attach_filter(&drop_syn()).unwrap();
        // It never ends, neither well nor badly.
        timeout(HANDOVER, TcpStream::connect(address)).await.unwrap_err();
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
        client.shutdown().await.unwrap();
        let (mut accepted, _) = socket.accept().await.unwrap();
        let mut bytes = Vec::new();
        accepted.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes.len(), 100_000);
    }
}
