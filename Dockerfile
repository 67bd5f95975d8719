# The server, and the example partner to try it against:
#
#     docker build -t candle-server .
#     docker build -t candle-partner --target partner .
#
# Build and run on one Debian release: the binaries use the C library of the one they were built on.
FROM rust:1.95-slim-bookworm AS source
WORKDIR /candle
COPY . .

FROM source AS build-server
# Features besides the default ones: nats, for --publish and --feed nats://
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
# It ends on an interrupt.
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/partner", "--host", "0.0.0.0"]

# Last, so that a build without a target makes the server.
FROM gcr.io/distroless/cc-debian12:nonroot AS server
COPY --from=build-server /out/candle-server /usr/local/bin/candle-server
# Inside, every interface: who reaches the port is decided where it is published.
ENV CANDLE_LISTEN=0.0.0.0:5001
EXPOSE 5001
# The binary asks itself: the image holds nothing else that could.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/usr/local/bin/candle-server", "health", "http://127.0.0.1:5001"]
ENTRYPOINT ["/usr/local/bin/candle-server"]
