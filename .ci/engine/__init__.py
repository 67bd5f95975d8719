"""What a Docker engine does for one compose file, without an engine: images of a Dockerfile, containers, a network."""
