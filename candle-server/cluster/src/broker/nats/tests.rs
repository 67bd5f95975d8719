use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// Connects to a fake server with this version and this `max_payload` (bytes), and returns the result.
async fn connect_to(version: &str, max_payload: usize) -> Result<NatsBroker, BrokerError> {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}/X", server.local_addr().unwrap()).parse().unwrap();
    let serve = async {
        let (socket, _) = server.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        let info = format!("INFO {{\"version\":\"{version}\",\"max_payload\":{max_payload}}}\r\n");
        socket.write_all(info.as_bytes()).await.unwrap();
        let mut line = String::new();
        while !line.ends_with("PING\r\n") {
            socket.read_line(&mut line).await.unwrap();
        }
        socket.write_all(b"PONG\r\n").await.unwrap();
    };
    let address = NatsAddress { url, authentication: Authentication::default() };
    tokio::join!(NatsBroker::connect(&address), serve).0
}

#[tokio::test]
async fn a_server_with_a_low_max_payload_is_refused_in_one_line() {
    let refused = connect_to("2.15.1", MIN_MAX_PAYLOAD - 1).await;
    let Err(BrokerError::Unusable(line)) = refused else { panic!("{refused:?}") };
    assert!(line.ends_with("has max_payload 1048575; 1048576 or more is needed"), "{line}");
    assert!(connect_to("2.15.1", 1_048_576).await.is_ok(), "the default");
}

#[tokio::test]
async fn an_old_server_is_refused_in_one_line() {
    for old in ["2.9.10", "2.11.14"] {
        let refused = connect_to(old, MIN_MAX_PAYLOAD).await;
        let Err(BrokerError::Unusable(line)) = refused else { panic!("{refused:?}") };
        assert!(line.ends_with(&format!("has version {old}; 2.12 or later is needed")), "{line}");
    }
    for new in ["2.12.0", "2.15.1", "3.0.0"] {
        assert!(connect_to(new, MIN_MAX_PAYLOAD).await.is_ok(), "{new}");
    }
}

#[test]
fn the_error_code_decides_if_a_stream_is_created_later() {
    let with = |code: u16, description: &str| {
        let error = format!(r#"{{"code":{code},"err_code":10058,"description":"{description}"}}"#);
        is_temporary(&CreateStreamErrorKind::JetStream(serde_json::from_str(&error).unwrap()))
    };
    assert!(with(503, "JetStream system temporarily unavailable"));
    assert!(!with(400, "stream name Q503 is in use, and the request timed out"));
    assert!(is_temporary(&CreateStreamErrorKind::TimedOut) && !is_temporary(&CreateStreamErrorKind::InvalidStreamName));
}

#[test]
fn the_cause_of_a_lost_connection_is_logged_after_the_loss() {
    let log = ConnectionLog::default();
    let refused = || Event::ClientError(async_nats::ClientError::Other("refused".to_owned()));
    let events = [Event::Connected, Event::Disconnected, refused(), refused(), Event::Connected, Event::Connected];
    let lines: Vec<_> = events.iter().filter_map(|event| log.line(event)).map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let (lost, reconnected) = ("the connection to the broker is lost", "reconnected to the broker");
    assert_eq!((lines[0].as_str(), lines[2].as_str()), (lost, reconnected));
    assert!(lines[1].contains("refused"), "{lines:?}");
}
