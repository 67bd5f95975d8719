//! The two-socket partner: `/instruments` says what can be traded, `/quotes` says at what price.
//!
//! Its rules: a new connection to `/instruments` is sent every live instrument as an ADD, with no end mark, and then
//! the changes; a new connection to `/quotes` is sent the quotes from now on. The two sockets have no common order. No
//! message has a time. A restarted partner remembers nothing.

mod life;
mod message;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::ToSocketAddrs;
use tokio::time::{Instant, sleep_until};

pub use life::{Life, LifeOptions};
pub use message::Message;

use crate::websocket::{Channel, Frame, Server, Subscription};

/// One of the partner's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// `/instruments`
    Instruments,
    /// `/quotes`
    Quotes,
}

/// A running partner. It says what it is told to, message by message, or lives a [`Life`] of its own.
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
/// partner.cut(Socket::Quotes);
/// partner.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Partner {
    engine: Arc<Engine>,
    server: Server,
}

impl Partner {
    /// Starts a partner without instruments on `addr`; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// The address can't be bound.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let engine = Arc::new(Engine::default());
        let route = {
            let engine = Arc::clone(&engine);
            move |path: &str| engine.route(path)
        };
        Ok(Self { engine, server: Server::bind(addr, route).await? })
    }

    /// The address that it listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Lists an instrument, or changes the description of a listed one.
    pub fn add(&self, isin: &str, description: &str) {
        self.say(&Message::Add { isin: isin.to_owned(), description: description.to_owned() });
    }

    /// Delists an instrument; of one that isn't listed the DELETE is sent all the same.
    pub fn delete(&self, isin: &str) {
        let description = self.engine.catalogue().get(isin).cloned().unwrap_or_default();
        self.say(&Message::Delete { isin: isin.to_owned(), description });
    }

    /// Quotes a finite price, whether or not the instrument is listed; [`send_raw`](Self::send_raw) sends other ones.
    pub fn quote(&self, isin: &str, price: f64) {
        self.say(&Message::Quote { isin: isin.to_owned(), price });
    }

    /// Sends a message on the socket it belongs to.
    pub fn say(&self, message: &Message) {
        self.engine.say(message);
    }

    /// Sends any frame: a `&str` goes out as text, a `Vec<u8>` as binary.
    pub fn send_raw(&self, socket: Socket, frame: impl Into<Frame>) {
        self.engine.channel(socket).send(frame.into());
    }

    /// Drops the present connections to `socket` without a closing handshake, after what was sent before.
    pub fn cut(&self, socket: Socket) {
        self.engine.channel(socket).cut();
    }

    /// Waits until `socket` has exactly `count` clients.
    pub async fn wait_for_clients(&self, socket: Socket, count: usize) {
        self.engine.channel(socket).wait_for_clients(count).await;
    }

    /// Lives `life` in real time, which has no end.
    pub async fn live(&self, life: Life) {
        let birth = Instant::now();
        for (age, message) in life {
            sleep_until(birth + age).await;
            self.say(&message);
        }
    }

    /// Stops listening and drops every connection; the port is free when this returns.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

/// What the partner's connections share.
#[derive(Debug, Default)]
struct Engine {
    /// The description of each live instrument, by ISIN. A change is sent, and a client subscribed, under this lock,
    /// so that a client has each change either in its replay or after it.
    catalogue: Mutex<BTreeMap<String, String>>,
    instruments: Channel,
    quotes: Channel,
}

impl Engine {
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

    fn say(&self, message: &Message) {
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
