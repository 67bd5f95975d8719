//! The argument of `candle-server health`.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// The address of a server or of one of its routes: `http://HOST[:PORT][/PATH]`. The default path is `/readyz`.
///
/// ```
/// use candle_server::settings::HealthUrl;
///
/// assert!("http://127.0.0.1:5001".parse::<HealthUrl>().is_ok());
/// assert!("https://127.0.0.1:5001".parse::<HealthUrl>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthUrl(Uri);

impl HealthUrl {
    /// Returns the address.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }
}

impl FromStr for HealthUrl {
    type Err = HealthUrlError;

    fn from_str(text: &str) -> Result<Self, HealthUrlError> {
        let uri: Uri = text.parse().map_err(|_| HealthUrlError)?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty());
        if is_plain { Ok(Self(uri)) } else { Err(HealthUrlError) }
    }
}

/// The error for a text that is not a [`HealthUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthUrlError;

impl fmt::Display for HealthUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address of a server must be http://HOST[:PORT][/PATH]")
    }
}

impl std::error::Error for HealthUrlError {}
