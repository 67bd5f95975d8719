//! The price streams: where they are, what they bring, how they are kept up.
