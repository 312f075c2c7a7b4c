//! How many requests run and wait.

use orchestrator_core::{
    admission::gate::Gate,
    policy::queue::{Limits, Numbers},
};
use orchestrator_proto::v1;

pub(super) fn show(gate: &Gate) -> v1::Queue {
    let Numbers { running, waiting, shed } = gate.numbers();
    let Limits { running: max_running, waiting: max_waiting, wait } = gate.limits();
    v1::Queue {
        running: running as u64,
        waiting: waiting as u64,
        shed,
        max_concurrent_sessions: max_running as u64,
        max_queue_length: max_waiting as u64,
        max_queue_wait: wait.as_secs(),
    }
}
