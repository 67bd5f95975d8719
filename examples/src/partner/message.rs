//! What the partner says.

use serde::Serialize;

use crate::websocket::Frame;

/// One message of the partner; its JSON is the wire's.
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
    /// An instrument can be traded from now on. Sent on `/instruments`.
    Add {
        /// Its id.
        isin: String,
        /// What people call it.
        description: String,
    },
    /// An instrument can no longer be traded; a later `Add` may reuse its id. Sent on `/instruments`.
    Delete {
        /// Its id.
        isin: String,
        /// What people called it.
        description: String,
    },
    /// A price, of now. Sent on `/quotes`.
    Quote {
        /// The instrument's id.
        isin: String,
        /// Finite: JSON has no word for other numbers.
        price: f64,
    },
}

impl Message {
    /// The message as a text frame.
    ///
    /// # Panics
    ///
    /// Never: strings and floats always have a JSON form.
    pub fn to_frame(&self) -> Frame {
        Frame::text(serde_json::to_string(self).expect("strings and floats always have a JSON form"))
    }
}
