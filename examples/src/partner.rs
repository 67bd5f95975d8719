//! A mock of the two-socket partner: `/instruments` sends the list of instruments, `/quotes` their prices.
//!
//! A new client of `/instruments` receives every listed instrument as an ADD, without an end mark, and then the changes.
//! A new client of `/quotes` receives the quotes from then on. The two sockets have no common order, and messages have no
//! time. A restarted partner starts without instruments.

mod message;
mod session;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::ToSocketAddrs;
use tokio::time::{Instant, sleep_until};

pub use message::Message;
pub use session::{RandomSession, SessionOptions};

use crate::websocket::{Channel, Frame, Server, Subscription};

/// One of the partner's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// `/instruments`
    Instruments,
    /// `/quotes`
    Quotes,
}

/// A running mock partner. Its methods send single messages; [`play`](Self::play) sends a whole [`RandomSession`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use examples::partner::{Partner, Socket};
///
/// let partner = Partner::bind("127.0.0.1:0").await?;
/// partner.add("IU1I5C5N8300", "luptatum senectus");
/// partner.quote("IU1I5C5N8300", 452.2828);
/// partner.send_raw(Socket::Quotes, "not a quote");
/// partner.disconnect(Socket::Quotes);
/// partner.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Partner {
    state: Arc<State>,
    server: Server,
}

impl Partner {
    /// Starts a partner without instruments on `addr`; port 0 selects a free one.
    ///
    /// # Errors
    ///
    /// Returns an error if the address can't be bound.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let state = Arc::new(State::default());
        let route = {
            let state = Arc::clone(&state);
            move |path: &str| state.route(path)
        };
        Ok(Self { state, server: Server::bind(addr, route).await? })
    }

    /// Returns the address of the listening socket.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Lists an instrument, or changes the description of a listed one.
    pub fn add(&self, isin: &str, description: &str) {
        self.send(&Message::Add { isin: isin.to_owned(), description: description.to_owned() });
    }

    /// Delists an instrument. The DELETE is sent even if the instrument is not listed.
    pub fn delete(&self, isin: &str) {
        let description = self.state.catalogue().get(isin).cloned().unwrap_or_default();
        self.send(&Message::Delete { isin: isin.to_owned(), description });
    }

    /// Sends a quote, even if the instrument is not listed. The price is finite; [`send_raw`](Self::send_raw) sends others.
    pub fn quote(&self, isin: &str, price: f64) {
        self.send(&Message::Quote { isin: isin.to_owned(), price });
    }

    /// Sends a message on the socket of its kind.
    pub fn send(&self, message: &Message) {
        self.state.send(message);
    }

    /// Sends any frame: a `&str` as a text frame, a `Vec<u8>` as a binary frame.
    pub fn send_raw(&self, socket: Socket, frame: impl Into<Frame>) {
        self.state.channel(socket).send(frame.into());
    }

    /// Drops all connections to `socket` without a closing handshake, after the frames sent before.
    pub fn disconnect(&self, socket: Socket) {
        self.state.channel(socket).disconnect();
    }

    /// Waits until `socket` has exactly `count` clients.
    pub async fn wait_for_clients(&self, socket: Socket, count: usize) {
        self.state.channel(socket).wait_for_clients(count).await;
    }

    /// Sends the messages of `session` in real time. A session has no end.
    pub async fn play(&self, session: RandomSession) {
        let start = Instant::now();
        for (time, message) in session {
            sleep_until(start + time).await;
            self.send(&message);
        }
    }

    /// Stops listening and drops all connections. The port is free when the future completes.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// The state that all connections share.
#[derive(Debug, Default)]
struct State {
    /// The descriptions of the listed instruments, by ISIN. Changes are sent and clients are subscribed under this
    /// lock, so that a client receives each change exactly once.
    catalogue: Mutex<BTreeMap<String, String>>,
    instruments: Channel,
    quotes: Channel,
}

impl State {
    fn route(&self, path: &str) -> Option<Subscription> {
        match path {
            "/instruments" => {
                let catalogue = self.catalogue();
                let add = |(isin, description): (&String, &String)| {
                    Message::Add { isin: isin.clone(), description: description.clone() }.to_frame()
                };
                Some(self.instruments.subscribe(catalogue.iter().map(add).collect()))
            }
            "/quotes" => Some(self.quotes.subscribe(Vec::new())),
            _ => None,
        }
    }

    fn send(&self, message: &Message) {
        match message {
            Message::Add { isin, description } => {
                let mut catalogue = self.catalogue();
                catalogue.insert(isin.clone(), description.clone());
                self.instruments.send(message.to_frame());
            }
            Message::Delete { isin, .. } => {
                let mut catalogue = self.catalogue();
                catalogue.remove(isin);
                self.instruments.send(message.to_frame());
            }
            Message::Quote { .. } => self.quotes.send(message.to_frame()),
        }
    }

    const fn channel(&self, socket: Socket) -> &Channel {
        match socket {
            Socket::Instruments => &self.instruments,
            Socket::Quotes => &self.quotes,
        }
    }

    fn catalogue(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
