//! What is shown of a configuration: every setting, and no secret.

use super::*;

/// A home whose configuration comes from every kind of place and holds secrets.
fn home_of_secrets() -> Home {
    Home::new()
        .file("orchestrator.toml", "[journal]\nfsync_ms = 0\n")
        .file(".env", "CORS_ORIGINS=https://a.example.com,*\n")
        .variable("ADMIN_KEY", "s3cret-admin-key")
        .variable("OPENAI_API_KEY", "s3cret-openai-key")
        .variable("DATABASE_URL", "sqlite://s3cret@x.db")
        .set("runtime.threads", "2")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line for every setting")]
fn what_is_shown_says_everything_but_secrets() {
    let loaded = home_of_secrets().load();
    insta::assert_snapshot!(show(&loaded), @r#"
    [app]
    env = "development"
    debug = false

    [edge]
    host = "127.0.0.1"
    port = 8000
    # core_endpoint =
    cors_origins = ["https://a.example.com", "*"]  # CORS_ORIGINS in .env
    header_timeout_ms = 10000
    body_timeout_ms = 30000
    max_headers = 64
    max_header_bytes = 32768
    write_timeout_ms = 60000
    trusted_proxies = []
    proxy_header = "x-forwarded-for"

    [grpc]
    host = "127.0.0.1"
    port = 50051

    [tls]
    # edge_cert =
    # edge_key =
    # edge_client_ca =
    edge_client_auth = "required"
    # grpc_cert =
    # grpc_key =
    # grpc_client_ca =
    grpc_client_auth = "required"
    # core_ca =
    # core_cert =
    # core_key =
    # core_server_name =
    handshake_timeout_ms = 10000
    max_handshakes = 512
    expiry_warning_days = 30

    [admin]
    host = "127.0.0.1"
    # port =
    grpc_host = "127.0.0.1"
    # grpc_port =
    # core_endpoint =

    [metrics]
    enabled = true
    host = "127.0.0.1"
    port = 9464
    # public =
    max_series = 1000

    [data]
    dir = "./data"

    [keys]
    admin = "****"  # ADMIN_KEY
    # client =
    # master =

    [vendors]
    openai_api_key = "****"  # OPENAI_API_KEY
    # openai_base_url =
    # anthropic_api_key =
    # anthropic_base_url =
    # gemini_api_key =
    # gemini_base_url =

    [database]
    url = "sqlite://****@x.db"  # DATABASE_URL
    # type =
    wait_retries = 30
    wait_interval = 2

    [log]
    level = "info"
    # format =
    # file =
    # access_file =
    retention_days = 30
    bodies_retention_days = 0

    [limits]
    max_body_bytes = 33554432
    max_json_depth = 128
    max_event_bytes = 4194304
    max_answer_bytes = 67108864

    [admission]
    max_concurrent_sessions = 10000
    max_queue_length = 1000
    max_queue_wait = 30

    [budget]
    default_output_tokens = 4096
    unknown_price_input_usd = "15"
    unknown_price_output_usd = "75"
    without_redis = "allowance"
    allowance_percent = 10

    [alerts]
    budget_percent = [80, 100]
    # webhook_url =

    [stream]
    early_head_ms = 10000
    idle_bytes_ms = 15000

    [timeouts]
    connect_ms = 3000
    first_token_ms = 120000
    idle_ms = 60000
    total_ms = 600000

    [breaker]
    threshold = 5
    timeout = 60

    [health_check]
    enabled = true
    interval = 300
    max_errors = 5
    retry_hours = 1

    [health]
    # public_details =

    [provider_rules]
    deny_private_networks = false

    [idempotency]
    retention_seconds = 86400
    max_entries = 10000
    max_bytes = 4194304
    total_bytes = 268435456

    [journal]
    fsync_ms = 0  # orchestrator.toml
    segment_bytes = 16777216
    max_bytes = 17179869184

    [bodies]
    keep = false
    max_bytes = 65536

    [redis]
    enabled = false
    url = "redis://localhost:6379/0"
    # ca =
    # cert =
    # key =
    pool_size = 16
    checkout_ms = 250
    command_ms = 50
    prefix = "llmo:"
    core_expiry_ms = 60000

    [shutdown]
    ready_delay_ms = 0
    drain_ms = 30000

    [otlp]
    disabled = false
    # endpoint =
    # headers =
    # protocol =
    timeout_ms = 10000
    # service_name =
    # resource_attributes =

    [traces]
    # endpoint =
    # headers =
    # protocol =
    # timeout_ms =
    sampler = "parentbased_always_on"
    sampler_arg = "1"
    schedule_delay_ms = 5000
    max_queue_size = 2048
    max_export_batch_size = 512
    capture_content = false
    max_content_bytes = 16384
    providers = []

    [runtime]
    threads = 2  # command line
    "#);
    assert!(!show(&loaded).contains("s3cret"));
    assert!(!format!("{loaded:?}").contains("s3cret"));
}
