//! How many connections each client address holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Addresses with the connections they hold; those with none are not kept.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    addresses: Arc<Addresses>,
    client: IpAddr,
}

impl Addresses {
    /// Counts one more connection of `address`, unless it holds `most` already.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Held> {
        let client = client(address);
        let mut held = self.held.lock();
        let count = held.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Held { addresses: Arc::clone(self), client })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.addresses.held.lock().entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Who counts as one client: an IPv4 address, or the 64-bit network that one IPv6 client gets all of.
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
    fn a_place_is_free_again_once_its_connection_is_gone() {
        let addresses = Arc::new(Addresses::default());
        let take = |text: &str| addresses.take(text.parse().unwrap(), 2);
        let first = take("10.0.0.1").unwrap();
        let second = take("::ffff:10.0.0.1").unwrap();
        assert!(take("10.0.0.1").is_none());
        let other = take("10.0.0.2").unwrap();
        drop(first);
        let third = take("10.0.0.1").unwrap();
        drop((second, other, third));
        assert!(addresses.held.lock().is_empty());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let addresses = Arc::new(Addresses::default());
        let take = |text: &str| addresses.take(text.parse().unwrap(), 1);
        let _held = take("2001:db8::1").unwrap();
        assert!(take("2001:db8::2").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
    }
}
