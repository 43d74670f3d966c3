//! Asking a node to stop: SHUTDOWN asks here, the main task listens.

use crate::commands::port::ShutdownMode;
use tokio::sync::watch;

/// Where a stop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has asked.
    Running,
    /// Asked for; it waits for leave and hands leaderships over.
    Asked(ShutdownMode),
    /// Called off while it waited.
    CalledOff,
    /// No way back: connections are being closed.
    Closing,
}

/// The switch.
#[derive(Debug)]
pub(super) struct StopSwitch {
    stage: watch::Sender<Stage>,
}

impl StopSwitch {
    pub fn new() -> Self {
        Self { stage: watch::Sender::new(Stage::Running) }
    }

    /// Follows the stages.
    pub fn subscribe(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Asks for a stop. A more urgent one takes the place of one that waits.
    pub fn ask(&self, mode: ShutdownMode) {
        self.stage.send_modify(|stage| {
            if *stage != Stage::Closing {
                *stage = Stage::Asked(mode);
            }
        });
    }

    /// Calls a stop off that waits; false where there is none.
    pub fn call_off(&self) -> bool {
        self.stage.send_if_modified(|stage| {
            let waits = matches!(stage, Stage::Asked(_));
            if waits {
                *stage = Stage::CalledOff;
            }
            waits
        })
    }

    /// The main task passes the point of no return; false where the stop was called off before.
    pub fn close(&self) -> bool {
        self.stage.send_if_modified(|stage| {
            let goes_on = matches!(stage, Stage::Asked(_));
            if goes_on {
                *stage = Stage::Closing;
            }
            goes_on
        })
    }

    /// The main task waits again.
    pub fn resume(&self) {
        self.stage.send_modify(|stage| {
            if *stage == Stage::CalledOff {
                *stage = Stage::Running;
            }
        });
    }
}

/// Waits until a stop that was asked for either closes connections or is called off.
///
/// # Errors
/// The error reply of the latter.
pub(super) async fn outcome(mut stage: watch::Receiver<Stage>) -> Result<(), String> {
    let ended = stage.wait_for(|stage| !matches!(stage, Stage::Asked(_))).await;
    match ended.map(|stage| *stage) {
        Ok(Stage::CalledOff | Stage::Running) => {
            Err("ERR Errors trying to SHUTDOWN. Check logs: it was called off by SHUTDOWN ABORT".into())
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Waits until a stop is asked for.
pub(super) async fn asked(stage: &mut watch::Receiver<Stage>) -> ShutdownMode {
    loop {
        if let Stage::Asked(mode) = *stage.borrow_and_update() {
            return mode;
        }
        if stage.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_is_called_off_only_while_it_waits() {
        let switch = StopSwitch::new();
        assert!(!switch.call_off());
        switch.ask(ShutdownMode::default());
        let waiting = outcome(switch.subscribe());
        assert!(switch.call_off());
        assert!(waiting.await.is_err());
        switch.resume();
        switch.ask(ShutdownMode { now: true, force: false });
        let waiting = outcome(switch.subscribe());
        assert!(switch.close() && !switch.call_off());
        assert_eq!(waiting.await, Ok(()));
    }
}
