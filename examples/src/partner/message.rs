//! The messages of the partner.

use serde::Serialize;

use crate::websocket::Frame;

/// One message of the partner. Its serialised form is the wire format.
///
/// ```
/// use examples::partner::Message;
///
/// let message = Message::Quote { isin: "QV532Y814406".into(), price: 452.2828 };
/// assert_eq!(message.to_frame().to_text().unwrap(), r#"{"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "UPPERCASE")]
pub enum Message {
    /// Lists an instrument. Sent on `/instruments`.
    Add {
        /// The id.
        isin: String,
        /// The name for people.
        description: String,
    },
    /// Delists an instrument; a later `Add` can reuse its id. Sent on `/instruments`.
    Delete {
        /// The id.
        isin: String,
        /// The name for people.
        description: String,
    },
    /// A current price. Sent on `/quotes`.
    Quote {
        /// The instrument's id.
        isin: String,
        /// The price, a finite number: JSON has no other numbers.
        price: f64,
    },
}

impl Message {
    /// Returns the message as a text frame.
    ///
    /// # Panics
    ///
    /// Never: strings and floats can always be serialised.
    pub fn to_frame(&self) -> Frame {
        Frame::text(serde_json::to_string(self).expect("strings and floats can always be serialised"))
    }
}
