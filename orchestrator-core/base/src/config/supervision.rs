//! What a service manager tells a process that it starts: environment variables of `sd_notify(3)` and `sd_watchdog_enabled(3)`. They
//! are no settings: whoever starts the process sets them.

use std::{env, ffi::OsString, process, time::Duration};

/// How a service manager wants to be spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervision {
    /// `NOTIFY_SOCKET`: where it listens, a path or, behind an `@`, a name in the abstract namespace.
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`, if it is for this process (`WATCHDOG_PID`): a process that it has not heard of for so long is held for stuck.
    pub watchdog: Option<Duration>,
}

impl Supervision {
    /// What this process was told.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn of_process() -> Self {
        Self::read(|name| env::var_os(name), process::id())
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>, own: u32) -> Self {
        let number = |name: &str| variable(name)?.into_string().ok()?.parse::<u64>().ok();
        let is_ours = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(own));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Self {
            socket: variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Supervision {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        Supervision::read(find, 7)
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        assert_eq!(read(&[]), Supervision::default());
        let second = Some(Duration::from_secs(1));
        assert_eq!(read(&[("WATCHDOG_USEC", "1000000")]).watchdog, second);
        assert_eq!(read(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "7")]).watchdog, second);
        for others in [
            [("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "8")],
            [("WATCHDOG_USEC", "0"), ("WATCHDOG_PID", "7")],
        ] {
            assert_eq!(read(&others).watchdog, None);
        }
        assert_eq!(read(&[("NOTIFY_SOCKET", "@x")]).socket, Some("@x".into()));
    }
}
