//! The client of the Autobahn test suite, with the WebSocket settings of candle-server's feeds.
//!
//! ```sh
//! kosoku -m fuzzingserver -o report 127.0.0.1:9001
//! cargo run --example echo_client -- 127.0.0.1:9001
//! ```

use std::error::Error;

use candle_server::feed::source::websocket::config;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const AGENT: &str = "candle-server";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server =
        std::env::args().nth(1).ok_or("missing argument: the address of the test server, such as 127.0.0.1:9001")?;
    let mut case_count = connect(&server, "getCaseCount").await?;
    let count: u32 = case_count.next().await.ok_or("the server sent no case count")??.to_text()?.parse()?;
    for case in 1..=count {
        let mut echo = connect(&server, &format!("runCase?case={case}&agent={AGENT}")).await?;
        // A case can end in any way. The test server decides if the end was correct.
        while let Some(Ok(message)) = echo.next().await {
            if (message.is_text() || message.is_binary()) && echo.send(message).await.is_err() {
                break;
            }
        }
    }
    let mut done = connect(&server, &format!("updateReports?agent={AGENT}")).await?;
    while let Some(Ok(_)) = done.next().await {}
    println!("{count} cases run");
    Ok(())
}

async fn connect(server: &str, path: &str) -> Result<WebSocketStream<TcpStream>, Box<dyn Error>> {
    let socket = TcpStream::connect(server).await?;
    // The largest messages of the suite have 16 MB, more than the limit for feeds.
    let config = config().max_message_size(None).max_frame_size(None);
    Ok(client_async_with_config(format!("ws://{server}/{path}"), socket, Some(config)).await?.0)
}
