//! Writes the `.env` of a new production installation: `orchestrator-grpc init --env > .env`.

use crate::random;

/// The text of a `.env` with new keys, which loads without a problem. Each call makes other keys.
pub fn generate() -> String {
    let admin = random::secret_text("orch-admin-");
    let master = random::secret_text("orch-master-");
    let client = random::secret_text("sk-orch-");
    format!(
        "\
# LLM Orchestrator in production. Written by `orchestrator-grpc init --env`.
# This file holds keys: keep it private (chmod 600) and out of version control.
APP_ENV=production

# The first admin key: for the admin interface and API.
ADMIN_KEY={admin}
# Encrypts providers' keys in the database. Without it they are lost: keep a copy elsewhere.
MASTER_KEY={master}
# A first API key, for a database that has none.
CLIENT_KEY={client}

# The listeners; 0.0.0.0 makes them reachable from other machines.
#APP_HOST=127.0.0.1
#APP_PORT=8000
#GRPC_HOST=127.0.0.1
#GRPC_PORT=50051
#METRICS_HOST=127.0.0.1
#METRICS_PORT=9464

# Cores to use instead of one inside the edge, comma-separated.
#CORE_ENDPOINT=http://127.0.0.1:50051

# The database, journal and backups.
#DATA_DIR=./data
#DATABASE_URL=sqlite://./data/llm_orchestrator.db

# A provider `openai`, `anthropic` or `gemini` exists as soon as its key is set.
#OPENAI_API_KEY=file:/run/secrets/openai
#OPENAI_BASE_URL=https://api.openai.com/v1
#ANTHROPIC_API_KEY=file:/run/secrets/anthropic
#ANTHROPIC_BASE_URL=https://api.anthropic.com
#GEMINI_API_KEY=file:/run/secrets/gemini
#GEMINI_BASE_URL=https://generativelanguage.googleapis.com

#LOG_LEVEL=info
#LOG_FORMAT=json
#MAX_BODY_BYTES=33554432
#CORS_ORIGINS=https://chat.example.com

# Every other setting is ORCHESTRATOR__SECTION__KEY.
#ORCHESTRATOR__TIMEOUTS__TOTAL_MS=600000
"
    )
}
