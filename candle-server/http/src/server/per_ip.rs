//! Counts the connections of each client address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The number of open connections of each client. A client without connections has no entry.
#[derive(Debug, Default)]
pub(super) struct ConnectionsPerIp {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Counts one connection of a client until dropped.
#[derive(Debug)]
pub(super) struct IpPermit {
    connections: Arc<ConnectionsPerIp>,
    client: IpAddr,
}

impl ConnectionsPerIp {
    /// Counts one more connection of the client at `address`. Returns `None` if the client already has `limit`.
    pub(super) fn acquire(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<IpPermit> {
        let client = client(address);
        let mut open = self.open.lock();
        let count = open.entry(client).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(IpPermit { connections: Arc::clone(self), client })
    }
}

impl Drop for IpPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.connections.open.lock().entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Returns the address that identifies a client.
///
/// An IPv4 client is identified by its address. An IPv6 client is identified by the 64-bit network that it usually
/// owns.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_makes_room_for_another() {
        let connections = Arc::new(ConnectionsPerIp::default());
        let acquire = |text: &str| connections.acquire(text.parse().unwrap(), 2);
        let first = acquire("10.0.0.1").unwrap();
        let second = acquire("::ffff:10.0.0.1").unwrap();
        assert!(acquire("10.0.0.1").is_none());
        let other = acquire("10.0.0.2").unwrap();
        drop(first);
        let third = acquire("10.0.0.1").unwrap();
        drop((second, other, third));
        assert!(connections.open.lock().is_empty());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let connections = Arc::new(ConnectionsPerIp::default());
        let acquire = |text: &str| connections.acquire(text.parse().unwrap(), 1);
        let _permit = acquire("2001:db8::1").unwrap();
        assert!(acquire("2001:db8::2").is_none());
        assert!(acquire("2001:db8:0:1::1").is_some());
    }
}
