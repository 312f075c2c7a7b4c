//! A server that ends with the process that began it.
//!
//! Nothing runs when a process is killed, so what ends the server is another process: a shell that began the server, and that reads
//! orders from a pipe. The pipe ends when the process that holds its other end does, by whatever means, and then the shell ends the
//! server, by its id, and removes its folder. It runs as the server's user: a server is not to run as root, and PostgreSQL does not.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Who the server runs as: user and group, where this process is root.
pub(super) type Account = Option<(u32, u32)>;

/// A terminal's Ctrl-C is not the shell's business, nor the server's: the pipe's end is. PostgreSQL has a process for each connection.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
begin() { sh -c "exec $1" </dev/null >>"$2/server.log" 2>&1 & pid=$!; }
all() { echo "$pid" $(cat "/proc/$pid/task/$pid/children"); }
begin "$1" "$2"
echo begun
while read -r order; do
  case $order in
    stop) kill -s "$3" "$pid"; wait "$pid"; echo done ;;
    start) begin "$1" "$2"; echo done ;;
    freeze) kill -s STOP $(all); echo done ;;
    thaw) kill -s CONT $(all); echo done ;;
    alive) if kill -s 0 "$pid"; then echo yes; else echo no; fi ;;
  esac
done
kill -s KILL $(all)
wait "$pid"
rm -rf "$2"
"#;

/// A server's keeper.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Mutex<Shell>,
    folder: PathBuf,
}

#[derive(Debug)]
struct Shell {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guard {
    /// Begins `command`, a line of shell, whose files are in `folder`. `signal` stops it.
    pub(super) fn start(command: &str, signal: &str, folder: PathBuf, account: Account) -> io::Result<Self> {
        let mut shell = as_account(&mut Command::new("sh"), account)
            .args(["-c", SCRIPT, "sh", command])
            .arg(&folder)
            .arg(signal)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let orders = shell.stdin.take();
        let answers = shell.stdout.take().ok_or_else(|| io::Error::other("the guard has no output"))?;
        let mut shell = Shell { child: shell, orders, answers: BufReader::new(answers) };
        shell.answer()?;
        Ok(Self { shell: Mutex::new(shell), folder })
    }

    /// Gives an order and waits until it is carried out.
    ///
    /// # Panics
    /// The guard is gone.
    pub(super) fn order(&self, order: &str) {
        self.ask(order).expect("the server's guard does as it is told");
    }

    /// Whether the server has not ended by itself.
    pub(super) fn is_serving(&self) -> bool {
        self.ask("alive").is_ok_and(|answer| answer == "yes")
    }

    /// The end of what the server has written.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    fn ask(&self, order: &str) -> io::Result<String> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = shell.orders.as_mut().ok_or_else(|| io::Error::other("it is ending"))?;
        writeln!(orders, "{order}")?;
        shell.answer()
    }
}

impl Shell {
    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() { Err(io::Error::other("it has ended")) } else { Ok(line.trim_end().to_owned()) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        // The pipe's end is what ends the server.
        shell.orders = None;
        let _ = shell.child.wait();
    }
}

/// An unprivileged account if this process is root: `name`, else nobody.
pub(super) fn account(name: &str) -> Account {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids(name).or_else(|| ids("nobody")).unwrap_or((65534, 65534)))
}

/// A new folder of this account. Its name is short: the path of a socket in it may have a hundred bytes.
pub(super) fn folder(account: Account) -> io::Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new("/tmp").join(format!("llmo-db-{}-{number}", std::process::id()));
    // What an earlier process of this id left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    if let Some((user, group)) = account {
        chown(&folder, Some(user), Some(group))?;
    }
    Ok(folder)
}

/// Runs a program that ends by itself as this account.
pub(super) fn finish(command: &mut Command, account: Account) -> Result<(), String> {
    let output = as_account(command, account).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', " | ");
    Err(format!("{}: {said}", command.get_program().display()))
}

fn as_account(command: &mut Command, account: Account) -> &mut Command {
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}
