"""A small cluster on one machine: brokers, gateways, read nodes, a feed, and links between them that can freeze."""
