//! No process outlives the tests, not even if they are killed.
//!
//! A destructor does not run in a process that gets SIGKILL, and PR_SET_PDEATHSIG, which would need `unsafe` to be set
//! before exec, follows the thread that started the child and not its process. So a shell waits at the other end of a
//! pipe: when that closes, because this process ended in whatever way, it kills what is still registered.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

/// `+ PID` registers, `- PID` forgets, end of input kills. Signals meant for the terminal's group are not for it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
live=" "
while read -r verb pid; do
    case $verb in
        +) live="$live$pid " ;;
        -) case $live in *" $pid "*) live="${live%%" $pid "*} ${live#*" $pid "}" ;; esac ;;
    esac
done
for pid in $live; do kill -9 "$pid" 2>/dev/null; done
"#;

static WATCHDOG: LazyLock<Mutex<Option<(Child, ChildStdin)>>> = LazyLock::new(|| {
    let shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Mutex::new(shell.ok().and_then(|mut shell| shell.stdin.take().map(|stdin| (shell, stdin))))
});

/// Kills `pid` should this process end before [`forget`].
pub fn guard(pid: u32) {
    tell('+', pid);
}

/// `pid` has been waited for; the number may be another process's soon.
pub fn forget(pid: u32) {
    tell('-', pid);
}

fn tell(verb: char, pid: u32) {
    if let Some((_, stdin)) = &mut *WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner) {
        // Where the shell is gone, destructors still do their part.
        let _ = stdin.write_all(format!("{verb} {pid}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::wait_until;
    use std::time::Duration;

    #[test]
    fn what_is_registered_dies_with_the_pipe_and_what_is_forgotten_does_not() {
        let sleep = || Command::new("sleep").arg("600").spawn().expect("sleep");
        let (mut guarded, mut forgotten) = (sleep(), sleep());
        let mut shell = Command::new("/bin/sh").args(["-c", SCRIPT]).stdin(Stdio::piped()).spawn().expect("a shell");
        let mut stdin = shell.stdin.take().expect("a pipe");
        let (pid, other) = (guarded.id(), forgotten.id());
        stdin.write_all(format!("+ {pid}\n+ {other}\n- {other}\n").as_bytes()).expect("written");
        drop(stdin);
        wait_until("the guarded process dies", Duration::from_secs(10), || {
            guarded.try_wait().ok().flatten().ok_or("it lives")
        });
        shell.wait().expect("the shell ends");
        assert!(forgotten.try_wait().expect("a child").is_none());
        forgotten.kill().expect("killed");
        forgotten.wait().expect("waited for");
    }
}
