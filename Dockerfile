# One image for both programs: the edge is the default command, `orchestrator-grpc` is the core.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ make libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG ORCHESTRATOR_COMMIT=unknown
# Debug information is most of a binary's size.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN cargo build --release --locked --bin orchestrator-edge --bin orchestrator-grpc

# The certificates of public authorities are inside the programs: the image needs none.
FROM debian:bookworm-slim
RUN groupadd --gid 1000 orchestrator && useradd --uid 1000 --gid 1000 --home-dir /data --shell /usr/sbin/nologin orchestrator \
    && install -d -o 1000 -g 1000 -m 0700 /data
COPY --from=build /src/target/release/orchestrator-edge /src/target/release/orchestrator-grpc /usr/local/bin/
# Inside a container the listeners are reached from outside it.
ENV APP_HOST=0.0.0.0 GRPC_HOST=0.0.0.0 METRICS_HOST=0.0.0.0 DATA_DIR=/data
WORKDIR /data
USER 1000:1000
VOLUME /data
EXPOSE 8000 50051 9464
# Whoever runs the core instead says so here too: `docker run --health-cmd "orchestrator-grpc health" … orchestrator-grpc`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=6 CMD ["orchestrator-edge", "health"]
CMD ["orchestrator-edge"]
