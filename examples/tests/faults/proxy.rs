//! A TCP proxy that does to a connection what networks and half-dead machines do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// What happens to bytes on their way from the upstream to the client. Those the other way always pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: they pass.
    None,
    /// The connection is open and nothing comes.
    Freeze,
    /// Every connection is dropped, and every new one as soon as it is accepted.
    Cut,
    /// Every connection is dropped, and nobody listens.
    Refuse,
    /// New connections are accepted and never answered; the present ones are dropped.
    Silence,
    /// The client is told that nothing more comes, and may still send.
    HalfClose,
    /// They come this much later.
    Delay(Duration),
    /// They come one at a time, each this much after the one before.
    Drip(Duration),
    /// They come in pieces of this many.
    Split(usize),
    /// One in so many is another one.
    Corrupt(usize),
}

/// A proxy in front of one address, with one fault at a time for all of its connections.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    /// Listens on a free port, for `upstream`.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (fault, watched) = watch::channel(Fault::None);
        tokio::spawn(listen(listener, upstream, watched));
        Self { addr, fault }
    }

    /// Lets this happen from now on.
    pub(crate) fn inflict(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn listen(mut listener: TcpListener, upstream: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let addr = listener.local_addr().unwrap();
    let watched = fault.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                tokio::spawn(connection(accepted.unwrap().0, upstream, watched.clone()));
                continue;
            }
            () = is_so(&mut fault, |fault| fault == Fault::Refuse) => {}
        }
        drop(listener);
        // Bound and deaf: connections are refused, and the port stays ours.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        is_so(&mut fault, |fault| fault != Fault::Refuse).await;
        listener = socket.listen(128).unwrap();
    }
}

/// Waits until the fault is such a one; for good, where nobody changes it any more.
async fn is_so(fault: &mut watch::Receiver<Fault>, is_such: impl Fn(Fault) -> bool) {
    if fault.wait_for(|fault| is_such(*fault)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn connection(client: TcpStream, upstream: SocketAddr, fault: watch::Receiver<Fault>) {
    let present = *fault.borrow();
    match present {
        Fault::Cut => return,
        Fault::Silence => {}
        _ => {
            let Ok(server) = TcpStream::connect(upstream).await else { return };
            // Each piece is to be a packet of its own.
            client.set_nodelay(true).unwrap();
            let (from_server, mut to_server) = server.into_split();
            let (mut from_client, to_client) = client.into_split();
            tokio::select! {
                () = pump(from_server, to_client, fault) => {}
                // The client's own good-bye is the server's to answer, so this side only ends with the other.
                () = async {
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                    std::future::pending::<()>().await;
                } => {}
            }
            return;
        }
    }
    let mut fault = fault;
    let _ = fault.wait_for(|fault| *fault != Fault::Silence).await;
    drop(client);
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut fault: watch::Receiver<Fault>) {
    let mut block = vec![0; 16 << 10];
    let mut seen = 0_usize;
    loop {
        let present = *fault.borrow_and_update();
        match present {
            Fault::Cut | Fault::Silence | Fault::Refuse => return,
            Fault::Freeze => {
                if fault.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Fault::HalfClose => {
                let _ = to.shutdown().await;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let length = tokio::select! {
            _ = fault.changed() => continue,
            read = from.read(&mut block) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            },
        };
        let block = &mut block[..length];
        if let Fault::Corrupt(one_in) = present {
            for byte in block.iter_mut() {
                seen += 1;
                if seen.is_multiple_of(one_in) {
                    *byte ^= 0x55;
                }
            }
        }
        let (piece, gap) = match present {
            Fault::Delay(delay) => (length, delay),
            Fault::Drip(gap) => (1, gap),
            Fault::Split(piece) => (piece, Duration::ZERO),
            _ => (length, Duration::ZERO),
        };
        for piece in block.chunks(piece) {
            if !gap.is_zero() {
                tokio::select! {
                    () = sleep(gap) => {}
                    _ = fault.wait_for(|fault| matches!(fault, Fault::Cut | Fault::Silence | Fault::Refuse)) => return,
                }
            }
            if to.write_all(piece).await.is_err() {
                return;
            }
        }
    }
}
