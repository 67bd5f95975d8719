# The server, and the example partner as a feed for it:
#
#     docker build -t candle-server .
#     docker build -t candle-partner --target partner .
#
# Build and run on the same Debian release: the binaries use the C library of the release that built them.
FROM rust:1.95-slim-bookworm AS source
WORKDIR /candle
COPY . .

FROM source AS build-server
# Cargo features in addition to the default ones. `nats` adds --publish and --feed nats://
ARG FEATURES=""
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/candle/target,sharing=locked \
    cargo build --locked --release -p candle-server --bin candle-server --features "$FEATURES" \
    && install -D target/release/candle-server /out/candle-server

FROM source AS build-partner
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/candle/target,sharing=locked \
    cargo build --locked --release -p examples --example partner \
    && install -D target/release/examples/partner /out/partner

FROM gcr.io/distroless/cc-debian12:nonroot AS partner
COPY --from=build-partner /out/partner /usr/local/bin/partner
EXPOSE 8032
# The partner stops on an interrupt.
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/partner", "--host", "0.0.0.0"]

# The last stage, so that a build without a target builds the server.
FROM gcr.io/distroless/cc-debian12:nonroot AS server
COPY --from=build-server /out/candle-server /usr/local/bin/candle-server
# Listens on every interface of the container. Access is restricted where the port is published.
ENV CANDLE_LISTEN=0.0.0.0:5001
EXPOSE 5001
# The binary checks its own health, because the image has no other HTTP client.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/usr/local/bin/candle-server", "health", "http://127.0.0.1:5001"]
ENTRYPOINT ["/usr/local/bin/candle-server"]
