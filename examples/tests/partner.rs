//! The mock partner's protocol over real sockets.
#![allow(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

use std::time::Duration;

use examples::partner::{Message, Partner, RandomSession, SessionOptions, Socket};
use examples::websocket::{Frame, QUEUE};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The time limit of a wait: far more than any wait takes.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn start() -> Partner {
    Partner::bind("127.0.0.1:0").await.unwrap()
}

async fn connect(partner: &Partner, path: &str) -> Client {
    connect_async(format!("ws://{}{path}", partner.addr())).await.unwrap().0
}

async fn next(client: &mut Client) -> Option<Result<Frame, Error>> {
    timeout(TIMEOUT, client.next()).await.expect("a frame or an end in time")
}

async fn next_text(client: &mut Client) -> String {
    next(client).await.unwrap().unwrap().into_text().unwrap().to_string()
}

/// Returns true if the connection ends without a closing handshake, after any number of frames.
async fn is_dropped(client: &mut Client) -> bool {
    loop {
        match next(client).await {
            Some(Ok(Frame::Close(_))) => return false,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return true,
        }
    }
}

fn add(isin: &str, description: &str) -> String {
    format!(r#"{{"type":"ADD","data":{{"isin":"{isin}","description":"{description}"}}}}"#)
}

#[tokio::test]
async fn a_new_client_receives_the_listed_instruments_and_then_the_changes() {
    let partner = start().await;
    partner.add("B", "second");
    partner.add("A", "old name");
    partner.add("C", "gone");
    partner.delete("C");
    partner.add("A", "new name");

    let mut client = connect(&partner, "/instruments").await;
    partner.delete("A");
    partner.add("A", "back");

    assert_eq!(next_text(&mut client).await, add("A", "new name"));
    assert_eq!(next_text(&mut client).await, add("B", "second"));
    assert_eq!(next_text(&mut client).await, r#"{"type":"DELETE","data":{"isin":"A","description":"new name"}}"#);
    assert_eq!(next_text(&mut client).await, add("A", "back"));

    let mut another = connect(&partner, "/instruments").await;
    assert_eq!(next_text(&mut another).await, add("A", "back"));
}

#[tokio::test]
async fn every_client_receives_the_quotes_after_its_connect() {
    let partner = start().await;
    partner.quote("A", 1.0);
    let mut clients = [connect(&partner, "/quotes").await, connect(&partner, "/quotes").await];
    partner.quote("A", 452.2828);
    for client in &mut clients {
        assert_eq!(next_text(client).await, r#"{"type":"QUOTE","data":{"isin":"A","price":452.2828}}"#);
    }
}

#[tokio::test]
async fn any_frame_can_be_sent() {
    let partner = start().await;
    let mut client = connect(&partner, "/quotes").await;
    partner.send_raw(Socket::Quotes, "NaN");
    partner.send_raw(Socket::Quotes, vec![0, 159, 146, 150]);
    assert_eq!(next(&mut client).await.unwrap().unwrap(), Frame::text("NaN"));
    assert_eq!(next(&mut client).await.unwrap().unwrap(), Frame::binary(vec![0, 159, 146, 150]));
}

#[tokio::test]
async fn a_disconnect_ends_one_socket_after_the_frames_sent_before_and_clients_can_reconnect() {
    let partner = start().await;
    let mut instruments = connect(&partner, "/instruments").await;
    let mut quotes = connect(&partner, "/quotes").await;
    partner.quote("A", 1.0);
    partner.disconnect(Socket::Quotes);
    assert!(next_text(&mut quotes).await.contains("QUOTE"));
    assert!(is_dropped(&mut quotes).await);
    timeout(TIMEOUT, partner.wait_for_clients(Socket::Quotes, 0)).await.unwrap();

    let mut quotes = connect(&partner, "/quotes").await;
    timeout(TIMEOUT, partner.wait_for_clients(Socket::Quotes, 1)).await.unwrap();
    partner.quote("A", 2.0);
    partner.add("A", "still there");
    assert!(next_text(&mut quotes).await.contains("2.0"));
    assert_eq!(next_text(&mut instruments).await, add("A", "still there"));
}

#[tokio::test]
async fn a_restarted_partner_uses_the_same_port_and_has_no_instruments() {
    let partner = start().await;
    let addr = partner.addr();
    partner.add("A", "before");
    let mut client = connect(&partner, "/instruments").await;
    partner.shutdown().await;
    assert!(is_dropped(&mut client).await);

    let partner = Partner::bind(addr).await.unwrap();
    partner.add("B", "after");
    let mut client = connect(&partner, "/instruments").await;
    assert_eq!(next_text(&mut client).await, add("B", "after"));
}

#[tokio::test]
async fn only_a_client_that_falls_a_queue_behind_is_disconnected() {
    let partner = start().await;
    let mut slow = connect(&partner, "/quotes").await;
    let mut other = connect(&partner, "/instruments").await;
    // This loop does not await, so that the connection can't run on the single-threaded runtime. The client seems to have
    // stopped reading.
    for _ in 0..=QUEUE {
        partner.send(&Message::Quote { isin: "A".into(), price: 1.0 });
    }
    assert!(is_dropped(&mut slow).await);
    partner.add("A", "");
    assert_eq!(next_text(&mut other).await, add("A", ""));
}

#[tokio::test]
async fn the_messages_of_a_session_are_sent_on_the_two_sockets() {
    let partner = start().await;
    let options = SessionOptions { seed: 1, instruments: 3, rate: "1000/s".parse().unwrap(), churn: None, disorder: 0 };
    let mut instruments = connect(&partner, "/instruments").await;
    let mut quotes = connect(&partner, "/quotes").await;
    let read = async {
        let mut texts = Vec::new();
        for _ in 0..3 {
            texts.push(next_text(&mut instruments).await);
        }
        for _ in 0..5 {
            texts.push(next_text(&mut quotes).await);
        }
        texts
    };
    let texts = tokio::select! {
        () = partner.play(RandomSession::new(options)) => unreachable!("a session has no end"),
        texts = read => texts,
    };
    let expected: Vec<String> =
        RandomSession::new(options).take(8).map(|(_, message)| message.to_frame().to_string()).collect();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let partner = start().await;
    for path in ["/", "/quotes/", "/instruments/A"] {
        let refused = connect_async(format!("ws://{}{path}", partner.addr())).await.unwrap_err();
        assert!(matches!(refused, Error::Http(response) if response.status() == 404), "{path}");
    }
    connect(&partner, "/quotes?token=1").await;
}

#[tokio::test]
async fn two_partners_cannot_share_a_port() {
    let partner = start().await;
    assert!(Partner::bind(partner.addr()).await.is_err());
}
