use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

type Server = WebSocketStream<TcpStream>;

fn address(scheme: &str, listener: &TcpListener) -> SocketUrl {
    format!("{scheme}://{}/path", listener.local_addr().unwrap()).parse().unwrap()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Opens a connection and returns both of its ends.
async fn pair() -> (WebSocket, Server) {
    let listener = listener().await;
    let url = address("ws", &listener);
    let accept = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (client, server) = tokio::join!(WebSocket::connect(&url), accept);
    (client.unwrap(), server)
}

/// Reads a connection until it ends and returns its frames and the error.
async fn read_to_end(client: &mut WebSocket) -> (Vec<Frame>, ConnectionError) {
    let mut frames = Vec::new();
    loop {
        match client.frames().await {
            Ok(batch) => frames.extend_from_slice(batch),
            Err(error) => return (frames, error),
        }
    }
}

fn text(text: &str) -> Frame {
    Frame::Text(text.into())
}

#[tokio::test]
async fn every_frame_arrives_in_order_before_the_close() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        for number in 0..5000 {
            server.feed(tungstenite::Message::text(number.to_string())).await.unwrap();
        }
        server.close(None).await.unwrap();
        while let Some(Ok(_)) = server.next().await {}
    });
    let (frames, error) = read_to_end(&mut client).await;
    assert_eq!(frames, (0..5000).map(|number| text(&number.to_string())).collect::<Vec<_>>());
    assert_eq!(error.reason(), "closed");
    drop(client);
    sender.await.unwrap();
}

#[tokio::test]
async fn buffered_frames_are_returned_as_one_batch() {
    let (mut client, mut server) = pair().await;
    for frame in ["one", "two", "three"] {
        server.feed(tungstenite::Message::text(frame)).await.unwrap();
    }
    server.flush().await.unwrap();
    // On the loopback device, one write arrives as one piece. The server writes nothing else before the read.
    assert_eq!(client.frames().await.unwrap(), [text("one"), text("two"), text("three")]);
}

#[tokio::test]
async fn a_batch_is_bounded_in_frames_and_in_bytes() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        for _ in 0..5000 {
            server.feed(tungstenite::Message::text("x")).await.unwrap();
        }
        for _ in 0..16 {
            server.feed(tungstenite::Message::text("x".repeat(300_000))).await.unwrap();
        }
        server.flush().await.unwrap();
    });
    let mut frames = 0;
    while frames < 5016 {
        let batch = client.frames().await.unwrap();
        assert!(batch.len() <= MAX_BATCH_FRAMES);
        let bytes = |frame: &Frame| if let Frame::Text(text) = frame { text.len() } else { 0 };
        assert!(batch[..batch.len() - 1].iter().map(bytes).sum::<usize>() < MAX_BATCH_BYTES);
        frames += batch.len();
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn fragments_give_one_frame_and_pings_give_none() {
    let (mut client, mut server) = pair().await;
    let fragment =
        |part: &'static str, data, last| tungstenite::Message::Frame(RawFrame::message(part, OpCode::Data(data), last));
    server.send(fragment("[1,", Data::Text, false)).await.unwrap();
    server.send(tungstenite::Message::Ping("are you there".into())).await.unwrap();
    server.send(fragment("2]", Data::Continue, true)).await.unwrap();
    assert_eq!(client.frames().await.unwrap(), [text("[1,2]")]);
    server.send(tungstenite::Message::text("more")).await.unwrap();
    client.frames().await.unwrap();
    assert_eq!(server.next().await.unwrap().unwrap(), tungstenite::Message::Pong("are you there".into()));
}

#[tokio::test]
async fn a_binary_frame_is_unreadable_and_the_connection_stays_open() {
    let (mut client, mut server) = pair().await;
    server.send(tungstenite::Message::binary(vec![0, 159, 146])).await.unwrap();
    assert_eq!(
        client.frames().await.unwrap(),
        [Frame::Unreadable(Unreadable::Binary, Bytes::from_static(&[0, 159, 146]))]
    );
    server.send(tungstenite::Message::text("next")).await.unwrap();
    assert_eq!(client.frames().await.unwrap(), [text("next")]);
}

#[tokio::test]
async fn an_oversize_frame_is_unreadable_and_ends_the_connection() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        server.send(tungstenite::Message::text("first")).await.unwrap();
        // The write may fail, because the client closes the connection during this write.
        let _ = server.send(tungstenite::Message::text("x".repeat(MAX_MESSAGE_BYTES + 1))).await;
    });
    let (frames, error) = read_to_end(&mut client).await;
    assert_eq!(frames, [text("first"), Frame::Unreadable(Unreadable::Oversize, Bytes::new())]);
    assert_eq!(error.reason(), "oversize");
    drop(client);
    sender.await.unwrap();
}

#[tokio::test]
async fn the_longest_frame_allowed_is_read() {
    let (mut client, mut server) = pair().await;
    let longest = "x".repeat(MAX_MESSAGE_BYTES);
    let frame = text(&longest);
    let sender = tokio::spawn(async move { server.send(tungstenite::Message::text(longest)).await.unwrap() });
    assert_eq!(client.frames().await.unwrap(), [frame]);
    sender.await.unwrap();
}

#[tokio::test]
async fn text_that_is_not_utf8_is_unreadable_and_ends_the_connection() {
    let (mut client, mut server) = pair().await;
    let frame = RawFrame::message(&b"\xff\xfe"[..], OpCode::Data(Data::Text), true);
    server.send(tungstenite::Message::Frame(frame)).await.unwrap();
    let (frames, error) = read_to_end(&mut client).await;
    assert_eq!(frames, [Frame::Unreadable(Unreadable::NotUtf8, Bytes::new())]);
    assert_eq!(error.reason(), "protocol");
}

#[tokio::test]
async fn a_cut_socket_ends_the_connection_after_its_last_frame() {
    let (mut client, mut server) = pair().await;
    server.send(tungstenite::Message::text("last")).await.unwrap();
    drop(server);
    let (frames, error) = read_to_end(&mut client).await;
    assert_eq!(frames, [text("last")]);
    assert!(["protocol", "lost", "closed"].contains(&error.reason()), "{error}");
}

#[tokio::test]
async fn a_silent_connection_is_pinged_and_ends_after_twenty_seconds() {
    let (mut client, server) = pair().await;
    let mut raw = server.into_inner();
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(client.frames().await.unwrap_err().reason(), "silent");
    assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
    let mut frame = [0; 2];
    raw.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [0x89, 0x80], "a ping, masked and empty");
}

#[tokio::test]
async fn pongs_keep_a_quiet_connection_alive() {
    let (mut client, mut server) = pair().await;
    let (quiet_for, quiet) = tokio::sync::oneshot::channel();
    let pings = tokio::spawn(async move {
        for _ in 0..6 {
            assert!(server.next().await.unwrap().unwrap().is_ping());
            // The flush sends the pong. No message is sent.
            let _ = server.flush().await;
        }
        quiet_for.send(()).unwrap();
        server.send(tungstenite::Message::text("still here")).await.unwrap();
        server
    });
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(client.frames().await.unwrap(), [text("still here")]);
    quiet.await.unwrap();
    assert!(start.elapsed() >= 5 * PING_EVERY, "{:?}", start.elapsed());
    assert_eq!(client.healthy_for(), Duration::ZERO);
    drop(pings.await.unwrap());
}

#[tokio::test]
async fn frames_that_arrive_while_the_caller_is_busy_are_no_silence() {
    let (mut client, mut server) = pair().await;
    server.send(tungstenite::Message::text("early")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(3 * SILENCE).await;
    assert_eq!(client.frames().await.unwrap(), [text("early")]);
}

#[tokio::test]
async fn healthy_for_is_the_time_between_the_first_and_the_latest_data_frame() {
    let (mut client, mut server) = pair().await;
    tokio::time::pause();
    for _ in 0..3 {
        server.send(tungstenite::Message::text("x")).await.unwrap();
        client.frames().await.unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(client.healthy_for().as_secs(), 10);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = listener().await;
    let url = address("ws", &listener);
    drop(listener);
    assert_eq!(WebSocket::connect(&url).await.unwrap_err().reason(), "unreachable");
}

#[tokio::test]
async fn a_response_without_an_upgrade_is_a_refusal() {
    let listener = listener().await;
    let url = address("ws", &listener);
    let answer = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        socket
    };
    let (client, _socket) = tokio::join!(WebSocket::connect(&url), answer);
    let error = client.unwrap_err();
    assert_eq!(error.reason(), "refused");
    assert_eq!(error.to_string(), "the server refused the WebSocket with status 404 Not Found");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_times_out() {
    for scheme in ["ws", "wss"] {
        let listener = listener().await;
        let start = Instant::now();
        let url = address(scheme, &listener);
        assert_eq!(WebSocket::connect(&url).await.unwrap_err().reason(), "timed-out");
        assert_eq!(start.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    }
}

#[tokio::test]
async fn tls_to_a_plain_text_server_is_a_tls_error() {
    let listener = listener().await;
    let url = address("wss", &listener);
    let answer = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (client, _socket) = tokio::join!(WebSocket::connect(&url), answer);
    let error = client.unwrap_err();
    assert_eq!(error.reason(), "tls", "{error}");
}
