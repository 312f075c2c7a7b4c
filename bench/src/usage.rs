//! What processes use, from `/proc`: CPU time to the nanosecond, memory in KiB.

use std::{fs, io, path::PathBuf};

/// CPU time of a process so far, in nanoseconds: the sum over its threads of what the scheduler counted.
///
/// `/proc/PID/stat` would be in steps of 10 ms. Threads that have ended are not in the sum; the processes that are measured
/// here keep theirs.
pub(crate) fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(proc(pid, "task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).ok_or_else(unreadable)?;
    }
    Ok(sum)
}

/// Resident memory of a process in KiB (VmRSS). Pages that processes share count in each of them.
pub(crate) fn memory_kib(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(proc(pid, "status"))?;
    field(&text, "VmRSS:").ok_or_else(unreadable)
}

/// The file descriptors that this process may have open.
pub(crate) fn descriptor_limit() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).ok_or_else(unreadable)
}

/// The machine in one line.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / (1024 * 1024);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores, {}, {memory} GiB, Linux {}", model.unwrap_or("unknown CPU"), kernel.trim())
}

/// The load of the last minute: how busy the machine was with other things before a run.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

fn proc(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn unreadable() -> io::Error {
    io::Error::other("/proc has something else than expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu_and_memory() {
        let before = cpu_ns(std::process::id()).unwrap();
        let mut hash = 0;
        // The scheduler books a running thread's time now and then, so this goes on until it shows.
        while cpu_ns(std::process::id()).unwrap() == before {
            hash = crc32fast::hash(&[hash as u8; 4096]);
        }
        assert!(memory_kib(std::process::id()).unwrap() > 100);
        assert!(descriptor_limit().unwrap() > 3);
        assert!(machine().contains("cores"));
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(cpu_ns(u32::MAX).is_err());
        assert!(memory_kib(u32::MAX).is_err());
    }
}
