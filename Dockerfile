# One image for both binaries: the edge is the default, `orchestrator-grpc` is the core.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ make libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG ORCHESTRATOR_COMMIT=unknown
RUN cargo build --release --locked --bin orchestrator-edge --bin orchestrator-grpc

FROM debian:bookworm-slim
RUN useradd --uid 1000 --create-home orchestrator && install -d -o orchestrator /data
COPY --from=build /src/target/release/orchestrator-edge /src/target/release/orchestrator-grpc /usr/local/bin/
# Inside a container the listeners are reached from outside it.
ENV APP_HOST=0.0.0.0 GRPC_HOST=0.0.0.0 DATA_DIR=/data
USER orchestrator
VOLUME /data
EXPOSE 8000 50051
CMD ["orchestrator-edge"]
