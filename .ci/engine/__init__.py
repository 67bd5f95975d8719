"""The parts of a Docker engine that one compose file needs: images of a Dockerfile, containers, a network."""
