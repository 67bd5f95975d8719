//! A TCP proxy that causes the faults of networks and of failing machines.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// A fault of the bytes from the upstream to the client. Bytes in the other direction always pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No fault.
    None,
    /// Connections stay open and pass nothing.
    Freeze,
    /// Connections to this path stay open and pass nothing; others work.
    FreezeOne(&'static str),
    /// Connections are dropped, and new ones are dropped as soon as they are accepted.
    Cut,
    /// Connections are dropped, and new ones are refused.
    Refuse,
    /// Connections are dropped, and new ones are accepted but receive nothing.
    Silence,
    /// The sending side is closed; the client can still send.
    HalfClose,
    /// Bytes are delayed by this time.
    Delay(Duration),
    /// Bytes are passed one by one, with this pause.
    Drip(Duration),
    /// Bytes are passed in packets of this size.
    Split(usize),
    /// One of this many bytes is changed.
    Corrupt(usize),
}

/// A proxy in front of one address. All of its connections have the same fault.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    /// Starts a proxy for `upstream` on a free port.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (fault, watched) = watch::channel(Fault::None);
        tokio::spawn(listen(listener, upstream, watched));
        Self { addr, fault }
    }

    /// Sets the fault from now on.
    pub(crate) fn set_fault(&self, fault: Fault) {
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
            () = wait_for(&mut fault, |fault| fault == Fault::Refuse) => {}
        }
        drop(listener);
        // The socket is bound but does not listen: connections are refused, and the port stays reserved.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        wait_for(&mut fault, |fault| fault != Fault::Refuse).await;
        listener = socket.listen(128).unwrap();
    }
}

/// Waits until `condition` is true for the fault. Waits forever if the proxy was dropped.
async fn wait_for(fault: &mut watch::Receiver<Fault>, condition: impl Fn(Fault) -> bool) {
    if fault.wait_for(|fault| condition(*fault)).await.is_err() {
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
            let path = path(&client).await;
            // Without Nagle's algorithm each write is a packet.
            client.set_nodelay(true).unwrap();
            let (from_server, mut to_server) = server.into_split();
            let (mut from_client, to_client) = client.into_split();
            tokio::select! {
                () = pump(from_server, to_client, &path, fault) => {}
                // The upstream handles the end of the client's stream, so this direction ends with the other one.
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

/// Waits for the first line of a request and returns its path. The bytes stay in the socket's buffer.
async fn path(client: &TcpStream) -> String {
    let mut block = [0; 1024];
    loop {
        let length = client.peek(&mut block).await.unwrap_or_default();
        let request = String::from_utf8_lossy(&block[..length]);
        if length == 0 || request.contains("\r\n") {
            return request.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, path: &str, mut fault: watch::Receiver<Fault>) {
    let mut block = vec![0; 16 << 10];
    let mut seen = 0_usize;
    loop {
        let present = *fault.borrow_and_update();
        let is_frozen = match present {
            Fault::Freeze => true,
            Fault::FreezeOne(frozen) => frozen == path,
            _ => false,
        };
        match present {
            Fault::Cut | Fault::Silence | Fault::Refuse => return,
            _ if is_frozen => {
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
        let (packet, pause) = match present {
            Fault::Delay(delay) => (length, delay),
            Fault::Drip(pause) => (1, pause),
            Fault::Split(packet) => (packet, Duration::ZERO),
            _ => (length, Duration::ZERO),
        };
        for packet in block.chunks(packet) {
            if !pause.is_zero() {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = fault.wait_for(|fault| matches!(fault, Fault::Cut | Fault::Silence | Fault::Refuse)) => return,
                }
            }
            if to.write_all(packet).await.is_err() {
                return;
            }
        }
    }
}
